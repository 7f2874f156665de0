"""Causal attention over a flat batch: rows of one length together, each over the shared tokens and itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right

from lastword.embedding.device import attention_kernels
from lastword.embedding.forward.fused.layout import Layout, Parts, additive
from lastword.embedding.forward.tree import Tree

# On a CPU:
PLAIN_MOST = 128  # largest number of keys for which the plain formula is faster
TOGETHER_MOST = (
    2048  # largest number of padded tokens for which one step for all lengths is faster than one each
)


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """(tokens, heads, head_dim) queries, (tokens, kv_heads, head_dim) keys and values → (tokens, heads * head_dim)."""
    (queries, keys, values), parts = (layout.parts(states) for states in (q, k, v)), []
    if layout.shared:
        parts.append(_causal(queries.shared, keys.shared, values.shared, layout, scale).flatten(0, 1))
    if _one_step_pays(layout):
        return torch.cat([*parts, _together(q, k, v, layout, scale)])
    for number, segment in enumerate(layout.segments):
        if segment.length:
            k, v = (_keys_of_row(states, number, segment.rows) for states in (keys, values))
            parts.append(_causal(queries.rows[number], k, v, layout, scale).flatten(0, 1))
    if layout.tree is not None and len(layout.tree):
        parts += _from_trees(queries, keys, values, layout, layout.tree, scale)
    return torch.cat(parts)


def _one_step_pays(layout: Layout) -> bool:
    """Whether one padded step for rows of several lengths is faster than a step for each length.

    On a GPU always: there the number of steps takes the time, not their size.
    """
    if layout.tree is not None or len(layout.segments) <= 2:
        return False
    few = layout.own[:, layout.shared :].numel() <= TOGETHER_MOST and not torch.is_grad_enabled()
    return few or layout.own.is_cuda


def _together(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """All rows in one step, padded at the end, where no query attends."""
    keys, values = (
        torch.cat([states[: layout.shared].expand(len(layout.own), -1, -1, -1), layout.rows(states)], dim=1)
        for states in (k, v)
    )
    mixed = _causal(layout.rows(q), keys, values, layout, scale).flatten(0, 1)
    return mixed.index_select(0, layout.places)


def _from_trees(q: Parts, k: Parts, v: Parts, layout: Layout, tree: Tree, scale: float) -> list[Tensor]:
    """Each node attends to its row, or the part of it that its limit leaves, and to its ancestors in the tree."""
    mixed = []
    for number, segment in enumerate(layout.segments):
        keys, values = (
            torch.cat([_keys_of_row(states, number, segment.rows), states.nodes[number]], dim=1)
            for states in (k, v)
        )
        mask = tree.sees(layout.shared + segment.length, q.shared.device)
        mixed.append(
            _attention(q.nodes[number], keys, values, scale, additive(mask, q.shared.dtype)).flatten(0, 1)
        )
    return mixed


def attend_ends(q: Tensor, k: Tensor, v: Tensor, layout: Layout, nodes: list[int], scale: float) -> Tensor:
    """As `attend`, only for the queries of each row's last token and of some nodes of its tree.

    (rows, 1 + nodes, heads, head_dim) queries → (rows, 1 + nodes, heads * head_dim).
    """
    (keys, values), mixed, tree = (layout.parts(states) for states in (k, v)), [], layout.tree
    queries = torch.split(q, [segment.rows for segment in layout.segments])
    for number, (segment, query) in enumerate(zip(layout.segments, queries, strict=True)):
        k, v = (_keys_of_row(states, number, segment.rows) for states in (keys, values))
        mask = None
        if tree is not None and nodes:
            k = torch.cat([k, keys.nodes[number]], dim=1)
            v = torch.cat([v, values.nodes[number]], dim=1)
            length = layout.shared + segment.length
            sees = tree.sees(length, q.device)[nodes]
            last = torch.arange(sees.shape[1], device=q.device)[None] < length
            mask = additive(torch.cat([last, sees]), q.dtype)
        mixed.append(_attention(query, k, v, scale, mask))
    return torch.cat(mixed)


def _keys_of_row(states: Parts, number: int, rows: int) -> Tensor:
    """Keys or values of a segment after the shared ones: (rows, shared + length, heads, head_dim)."""
    return torch.cat([states.shared.expand(rows, -1, -1, -1), states.rows[number]], dim=1)


def _causal(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """(rows, queries, heads, head_dim) → (rows, queries, heads * head_dim); the last query attends to every key."""
    queries, keys = q.shape[1], k.shape[1]
    square = queries == keys and not _plain_pays(k)  # the kernel then needs no mask
    mask: Tensor | None = None
    if q.is_cuda and q.dtype != torch.float32:
        mask = None if square else causal_lower_right(queries, keys)  # the flash kernel takes no other mask
    elif not square and queries > 1:
        mask = layout.causal_mask(queries, keys, q.dtype)
    return _attention(q, k, v, scale, mask, causal=square)


def _attention(
    q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, *, causal: bool = False
) -> Tensor:
    """(rows, queries or keys, heads, head_dim) each → (rows, queries, heads * head_dim)."""
    plain = _plain_pays(k)
    q, k, v = (states.transpose(1, 2) for states in (q, k, v))
    if plain:
        mixed = _plain(q, k, v, scale, mask)
    else:
        gqa = q.shape[1] != k.shape[1]
        with attention_kernels(q.device):
            mixed = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=gqa
            )
    return mixed.transpose(1, 2).flatten(2)


def _plain_pays(k: Tensor) -> bool:
    """Whether the formula is faster than the kernel for these keys, (rows, keys, heads, head_dim)."""
    return k.device.type == "cpu" and k.shape[1] <= PLAIN_MOST


def _plain(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """The plain formula: on a CPU and for few keys faster than the kernel, above all in the backward pass."""
    if q.shape[1] != k.shape[1]:
        k, v = (states.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for states in (k, v))
    scores = (q * scale) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v
