"""Causal attention over a flat batch: rows of one length at once, each seeing the shared tokens and itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lastword.embedding.fused.layout import Layout


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """(tokens, heads, head_dim) queries, (tokens, kv_heads, head_dim) keys and values → (tokens, heads * head_dim)."""
    shared, parts = layout.shared, []
    if shared:
        parts.append(_causal(q[None, :shared], k[None, :shared], v[None, :shared], scale))
    for segment in layout.segments:
        rows, at = (segment.rows, segment.length), segment.tokens
        keys, values = _with_shared(k, rows, at, shared), _with_shared(v, rows, at, shared)
        parts.append(_causal(q[at].view(*rows, *q.shape[1:]), keys, values, scale))
    return torch.cat(parts)


def attend_last(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """As `attend`, with one query for each row, its last token's: (rows, heads, head_dim) → (rows, heads * …)."""
    shared, parts, first = layout.shared, [], 0
    for segment in layout.segments:
        rows, at = (segment.rows, segment.length), segment.tokens
        keys, values = _with_shared(k, rows, at, shared), _with_shared(v, rows, at, shared)
        parts.append(_causal(q[first : first + segment.rows, None], keys, values, scale))
        first += segment.rows
    return torch.cat(parts)


def _with_shared(states: Tensor, rows: tuple[int, int], at: slice, shared: int) -> Tensor:
    """The segment's keys or values behind the shared ones: (rows, shared + length, heads, head_dim)."""
    own = states[at].view(*rows, *states.shape[1:])
    if not shared:
        return own
    return torch.cat([states[None, :shared].expand(rows[0], -1, -1, -1), own], dim=1)


def _causal(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """(rows, queries, heads, head_dim); the last query sees every key → (rows * queries, heads * head_dim)."""
    queries, keys = q.shape[1], k.shape[1]
    mask = None
    if 1 < queries < keys:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    mixed = F.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask,
        is_causal=queries == keys and queries > 1,
        scale=scale,
        enable_gqa=q.shape[2] != k.shape[2],
    )
    return mixed.transpose(1, 2).flatten(2).flatten(0, 1)
