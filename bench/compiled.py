"""The fused forward pass with its small steps compiled: norms, rotations and gates as one kernel each.

A prototype to measure, not part of lastword: `compile.py` measures its gain and its cost.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lastword.embedding.forward.fused import decoder


@torch.compile(dynamic=True)
def _normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(x.dtype)


@torch.compile(dynamic=True)
def _added_and_normed(x: Tensor, more: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    x = x + more
    wide = x.float()
    return x, weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(x.dtype)


@torch.compile(dynamic=True)
def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([second, first], -1) * sin


@torch.compile(dynamic=True)
def _gated(gate: Tensor, up: Tensor) -> Tensor:
    return F.silu(gate) * up


def _queries_keys_values(block: Any, x: Tensor, rotation: tuple[Tensor, Tensor]) -> list[Tensor]:
    norm = block.attention_norm
    parts = block.qkv(_normed(x, norm.weight, norm.variance_epsilon))
    q, k, v = (part.view(len(x), -1, block.head_dim) for part in parts)
    return [_rotated(q, *rotation), _rotated(k, *rotation), v]


def _after_attention(block: Any, x: Tensor, mixed: Tensor) -> Tensor:
    (mixed,) = block.out(mixed)
    x, normed = _added_and_normed(x, mixed, block.mlp_norm.weight, block.mlp_norm.variance_epsilon)
    (mixed,) = block.down(_gated(*block.gate_up(normed)))
    return x + mixed


def use_compiled_steps() -> None:
    """Replace the small steps of the fused forward pass by compiled ones, in this process, for plain Llama models."""
    decoder._queries_keys_values, decoder._after_attention = _queries_keys_values, _after_attention
