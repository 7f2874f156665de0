"""Causal attention over a flat batch: rows of one length at once, each seeing the shared tokens and itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lastword.embedding.fused.layout import Layout, Segment
from lastword.embedding.fused.tree import Tree

PLAIN_MOST = 128  # keys up to which the plain formula is the faster one on a CPU


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """(tokens, heads, head_dim) queries, (tokens, kv_heads, head_dim) keys and values → (tokens, heads * head_dim)."""
    shared, parts = layout.shared, []
    if shared:
        parts.append(_causal(q[None, :shared], k[None, :shared], v[None, :shared], scale))
    for segment in layout.segments:
        if segment.length:
            keys, values = _seen(k, segment, layout), _seen(v, segment, layout)
            parts.append(_causal(_rows(q, segment.tokens, segment.rows), keys, values, scale))
    if layout.tree is not None and len(layout.tree):
        parts += _from_trees(q, k, v, layout, layout.tree, scale)
    return torch.cat(parts)


def _from_trees(q: Tensor, k: Tensor, v: Tensor, layout: Layout, tree: Tree, scale: float) -> list[Tensor]:
    """Each node sees its row from the first token to the last, and its ancestors in the tree."""
    parts, sees = [], tree.sees(q.device)
    for segment in layout.segments:
        nodes = segment.behind(tree, layout.tree_start)
        keys, values = (
            torch.cat([_seen(states, segment, layout), _rows(states, nodes, segment.rows)], dim=1)
            for states in (k, v)
        )
        mask = torch.cat([sees.new_ones(len(tree), layout.shared + segment.length), sees], dim=1)
        parts.append(_attention(_rows(q, nodes, segment.rows), keys, values, scale, mask=mask).flatten(0, 1))
    return parts


def attend_ends(q: Tensor, k: Tensor, v: Tensor, layout: Layout, nodes: list[int], scale: float) -> Tensor:
    """As `attend`, for the queries of each row's last token and of some nodes of its tree alone.

    (rows, 1 + nodes, heads, head_dim) queries → (rows, 1 + nodes, heads * head_dim).
    """
    parts, tree = [], layout.tree
    for segment in layout.segments:
        keys, values, mask = _seen(k, segment, layout), _seen(v, segment, layout), None
        if tree is not None and nodes:
            at = segment.behind(tree, layout.tree_start)
            keys = torch.cat([keys, _rows(k, at, segment.rows)], dim=1)
            values = torch.cat([values, _rows(v, at, segment.rows)], dim=1)
            sees = tree.sees(q.device)[nodes]
            sees = torch.cat([sees.new_zeros(1, len(tree)), sees])
            mask = torch.cat([sees.new_ones(len(sees), layout.shared + segment.length), sees], dim=1)
        rows = slice(segment.first, segment.first + segment.rows)
        parts.append(_attention(q[rows], keys, values, scale, mask=mask))
    return torch.cat(parts)


def _rows(states: Tensor, at: slice, rows: int) -> Tensor:
    """(tokens, heads, head_dim) → (rows, length, heads, head_dim) of the tokens there."""
    return states[at].view(rows, -1, *states.shape[1:])


def _seen(states: Tensor, segment: Segment, layout: Layout) -> Tensor:
    """The segment's keys or values behind the shared ones: (rows, shared + length, heads, head_dim)."""
    if not segment.length:
        return states[None, : layout.shared].expand(segment.rows, -1, -1, -1)
    own = _rows(states, segment.tokens, segment.rows)
    if not layout.shared:
        return own
    return torch.cat([states[None, : layout.shared].expand(segment.rows, -1, -1, -1), own], dim=1)


def _causal(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """(rows, queries, heads, head_dim); the last query sees every key → (rows * queries, heads * head_dim)."""
    queries, keys = q.shape[1], k.shape[1]
    mask = None
    if 1 < queries < keys:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return _attention(q, k, v, scale, mask=mask, causal=queries == keys > 1).flatten(0, 1)


def _attention(
    q: Tensor, k: Tensor, v: Tensor, scale: float, *, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """(rows, queries or keys, heads, head_dim) each → (rows, queries, heads * head_dim)."""
    q, k, v = (states.transpose(1, 2) for states in (q, k, v))
    if q.device.type == "cpu" and k.shape[2] <= PLAIN_MOST:
        mixed = _plain(q, k, v, scale, mask, causal)
    else:
        gqa = q.shape[1] != k.shape[1]
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=gqa
        )
    return mixed.transpose(1, 2).flatten(2)


def _plain(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, causal: bool) -> Tensor:
    """The formula as it stands: on a CPU and for few keys faster than the kernel, above all backwards."""
    if q.shape[1] != k.shape[1]:
        k, v = (states.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for states in (k, v))
    scores = (q * scale) @ k.transpose(-1, -2)
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v
