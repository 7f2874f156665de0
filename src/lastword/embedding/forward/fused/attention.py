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
BLOCK = 96  # about as many queries share a product: more would compute more scores that the mask hides
STORED_MOST = 512  # largest number of keys whose weights are stored for a backward pass
TOGETHER_MOST = (
    2048  # largest number of padded tokens for which one step for all lengths is faster than one each
)


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """(tokens, heads, head_dim) queries, (tokens, kv_heads, head_dim) keys and values → (tokens, heads * head_dim)."""
    (queries, keys, values), parts = (layout.parts(states) for states in (q, k, v)), []
    if layout.shared:
        parts.append(
            _causal(queries.shared, _keys(keys.shared), _keys(values.shared), layout, scale).flatten(0, 1)
        )
    if _one_step_pays(layout):
        return torch.cat([*parts, _together(q, k, v, layout, scale)])
    for number, segment in enumerate(layout.segments):
        if segment.length:
            k, v = (_keys(states.shared, states.rows[number]) for states in (keys, values))
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
    keys, values = (_keys(states[None, : layout.shared], layout.rows(states)) for states in (k, v))
    mixed = _causal(layout.rows(q), keys, values, layout, scale).flatten(0, 1)
    return mixed.index_select(0, layout.places)


def _from_trees(q: Parts, k: Parts, v: Parts, layout: Layout, tree: Tree, scale: float) -> list[Tensor]:
    """Each node attends to its row, or the part of it that its limit leaves, and to its ancestors in the tree."""
    mixed = []
    for number, segment in enumerate(layout.segments):
        keys, values = (_keys(states.shared, states.rows[number], states.nodes[number]) for states in (k, v))
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
        mask, after = None, slice(0)
        if tree is not None and nodes:
            length, after = layout.shared + segment.length, slice(number, number + 1)
            sees = tree.sees(length, q.device)[nodes]
            last = torch.arange(sees.shape[1], device=q.device)[None] < length
            mask = additive(torch.cat([last, sees]), q.dtype)
        k, v = (_keys(states.shared, states.rows[number], *states.nodes[after]) for states in (keys, values))
        mixed.append(_attention(query, k, v, scale, mask))
    return torch.cat(mixed)


def _keys(*parts: Tensor) -> Tensor:
    """Keys or values one after another, (1 or rows, tokens, kv_heads, head_dim) → (rows, kv_heads, keys, head_dim)."""
    rows = max(len(part) for part in parts)
    return torch.cat([part.expand(rows, -1, -1, -1).transpose(1, 2) for part in parts], dim=2)


def _causal(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> Tensor:
    """(rows, queries, heads, head_dim) → (rows, queries, heads * head_dim); the last query attends to every key."""
    queries, keys = q.shape[1], k.shape[2]
    if _products_pay(k):
        blocks, seen = [], keys - queries
        for block in q.chunk(max(1, round(queries / BLOCK)), dim=1):
            seen += block.shape[1]
            mask = layout.causal_mask(block.shape[1], seen, q.dtype, repeats=q.shape[2] // k.shape[1])
            blocks.append(_products(block, k[:, :, :seen], v[:, :, :seen], scale, mask))
        return torch.cat(blocks, dim=1).flatten(2)
    if queries == keys:
        return _kernel(q, k, v, scale, None, causal=True)
    flash = q.is_cuda and q.dtype != torch.float32  # this kernel takes no other mask
    lower_right = causal_lower_right(queries, keys) if flash else layout.causal_mask(queries, keys, q.dtype)
    return _kernel(q, k, v, scale, lower_right)


def _attention(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """(rows, queries, heads, head_dim) → (rows, queries, heads * head_dim), with a mask to add to the scores."""
    if _products_pay(k):
        if mask is not None:
            mask = mask.repeat_interleave(q.shape[2] // k.shape[1], dim=0)
        return _products(q, k, v, scale, mask).flatten(2)
    return _kernel(q, k, v, scale, mask)


def _products_pay(k: Tensor) -> bool:
    """Whether two matrix products are faster than torch's kernel, and do not store too much for a backward pass."""
    return k.device.type == "cpu" and (not torch.is_grad_enabled() or k.shape[2] <= STORED_MOST)


def _products(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """Two matrix products for each key head. The query heads that share it are rows of one matrix; no key is repeated.

    Args:
        mask: (queries * query heads of each key head, keys) to add to the scores, or None.

    Returns:
        (rows, queries, kv_heads, query heads of each, head_dim)
    """
    rows, queries, heads, dim = q.shape
    kv_heads, of_each = k.shape[1], heads // k.shape[1]
    q = q.view(rows, queries, kv_heads, of_each, dim).transpose(1, 2).reshape(-1, queries * of_each, dim)
    k, v = k.flatten(0, 1), v.flatten(0, 1)
    scores = torch.baddbmm(q.new_zeros(1) if mask is None else mask, q, k.transpose(1, 2), alpha=scale)
    weights = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
    return torch.bmm(weights, v).view(rows, kv_heads, queries, of_each, dim).transpose(1, 2)


def _kernel(
    q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, *, causal: bool = False
) -> Tensor:
    """torch's kernel: (rows, queries, heads, head_dim) → (rows, queries, heads * head_dim)."""
    with attention_kernels(q.device):
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2), k, v, mask, is_causal=causal, scale=scale, enable_gqa=q.shape[2] != k.shape[1]
        )
    return mixed.transpose(1, 2).flatten(2)
