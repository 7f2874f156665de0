"""The forward pass over a flat batch: no padding, no cache objects, few and large matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lastword.embedding.forward.fused.attention import attend, attend_ends
from lastword.embedding.forward.fused.blocks import Block, Blocks
from lastword.embedding.forward.fused.layout import Layout

Rotation = tuple[Tensor, Tensor]


def hidden_states(blocks: Blocks, layout: Layout, until: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (layer, residual stream (tokens, dim) before it), from the states to begin with or layer 0 to `until`."""
    first = layout.lower.layer if layout.lower else 0
    x = layout.lower.states if layout.lower else blocks.embed(layout.ids)
    turns = rotations(blocks, layout, x)
    yield first, x
    for layer in range(first, until):
        block = blocks.layers[layer]
        x = layer_output(block, x, layout, turns[block.rotary])
        yield layer + 1, x


def end_states(blocks: Blocks, layout: Layout, nodes: list[int]) -> Tensor:
    """The residual stream after the last layer at each row's last token and at some nodes of its tree.

    In the last layer only these tokens need a query and a feed-forward pass; the others are only keys and values.

    Returns:
        (rows, 1 + nodes, dim)
    """
    for _, x in hidden_states(blocks, layout, len(blocks.layers) - 1):
        before = x
    block, at = blocks.layers[-1], layout.ends(nodes)
    q, k, v = _queries_keys_values(block, before, rotations(blocks, layout, before)[block.rotary])
    mixed = attend_ends(q[at], k, v, layout, nodes, block.scale)
    return _after_attention(block, before[at.flatten()], mixed.flatten(0, 1)).view(*at.shape, -1)


def self_attention(blocks: Blocks, layout: Layout) -> Tensor:
    """How much each token attends to itself in the first layer, relative to even attention; mean over the heads.

    Token i of a causal model sees i tokens, the first one only itself. Its weight A_ii is therefore multiplied by i, so
    that it is 1 where attention is even, wherever the token is.

    Source: Ditto, arXiv:2305.10786, which takes A_ii of one head of an encoder, chosen on development data.

    Returns:
        (batch, seq) float32; on padding without meaning.
    """
    block, x = blocks.layers[0], blocks.embed(layout.ids)
    q, k, _ = _queries_keys_values(block, x, rotations(blocks, layout, x)[block.rotary])
    q, k = (
        layout.padded(states.flatten(1)).view(*layout.own.shape, *states.shape[1:]).transpose(1, 2).float()
        for states in (q, k)
    )
    scores = (q * block.scale) @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).transpose(-1, -2)
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1).diagonal(dim1=-2, dim2=-1).mean(1)
    relative: Tensor = weights * seen.sum(1)
    return relative


def layer_output(block: Block, x: Tensor, layout: Layout, rotation: Rotation) -> Tensor:
    """The residual stream after a layer, (tokens, dim) → (tokens, dim)."""
    q, k, v = _queries_keys_values(block, x, rotation)
    return _after_attention(block, x, attend(q, k, v, layout, block.scale))


def _after_attention(block: Block, x: Tensor, mixed: Tensor) -> Tensor:
    """The rest of a layer: the output product and the feed-forward, (n, dim) and (n, heads * head_dim) → (n, dim)."""
    (mixed,) = block.out(mixed)
    x = x + (block.attention_after(mixed) if block.attention_after else mixed)
    gate, up = block.gate_up(block.mlp_norm(x))
    (mixed,) = block.down(block.activation(gate) * up)
    return x + (block.mlp_after(mixed) if block.mlp_after else mixed)


def _queries_keys_values(block: Block, x: Tensor, rotation: Rotation) -> list[Tensor]:
    q, k, v = (part.view(len(x), -1, block.head_dim) for part in block.qkv(block.attention_norm(x)))
    q = block.query_norm(q) if block.query_norm else q
    k = block.key_norm(k) if block.key_norm else k
    return [_rotated(q, rotation), _rotated(k, rotation), v]


def rotations(blocks: Blocks, layout: Layout, x: Tensor) -> dict[str | None, Rotation]:
    """Cosines and sines, each (tokens, 1, head_dim), of every rotary embedding that a layer uses.

    The first half of the sines is negated: the sign that `_rotated` needs, set once for all layers.
    """
    at = layout.positions[None]
    turns: dict[str | None, Rotation] = {}
    for name in {block.rotary for block in blocks.layers}:
        cos, sin = blocks.rotary(x, at) if name is None else blocks.rotary(x, at, name)
        first, second = sin[0, :, None].chunk(2, dim=-1)
        turns[name] = (cos[0, :, None], torch.cat([-first, second], dim=-1))
    return turns


def _rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate (tokens, heads, head_dim).

    Source: RoFormer, arXiv:2104.09864, in the layout of halves that Hugging Face models use.
    """
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([second, first], dim=-1) * sin
