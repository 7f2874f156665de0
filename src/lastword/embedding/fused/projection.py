"""Linear layers that read the same input, as one product; LoRA adapters on top of it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Projection:
    """q, k and v, or gate and up, or a layer alone.

    The weights of the layers become views of one tensor, so fusing them costs no memory and the
    Hugging Face model goes on working with them. The layers are looked up by name at every call, since
    an adapter takes the place of a layer after the model was read.
    """

    def __init__(self, owner: nn.Module, *names: str) -> None:
        self._owner, self._names = owner, names
        self._joined: Tensor | None = None
        self.widths: list[int] = [_base(layer).out_features for layer in self.layers]

    @property
    def layers(self) -> list[Any]:
        """The linear layers, adapted or not."""
        return [getattr(self._owner, name) for name in self._names]

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(tokens, dim) → one (tokens, width) for each layer."""
        layers = self.layers
        bases = [_base(layer) for layer in layers]
        if not all(type(base) is nn.Linear for base in bases):  # quantised, say: each knows its own product
            return [layer(x) for layer in layers]
        outputs = torch.split(F.linear(x, self._weight(bases), _bias(bases)), self.widths, dim=-1)
        dropped: dict[float, Tensor] = {}  # one draw serves all adapters of an input; draws are slow
        return [
            output if base is layer else _adapted(layer, x, output, dropped)
            for layer, base, output in zip(layers, bases, outputs, strict=True)
        ]

    def _weight(self, bases: list[Any]) -> Tensor:
        if len(bases) == 1:
            only: Tensor = bases[0].weight
            return only
        weights = [base.weight for base in bases]
        if any(weight.requires_grad for weight in weights):
            return torch.cat(weights)
        if self._joined is None or not _views_of(self._joined, weights):
            self._joined = torch.cat([weight.detach() for weight in weights])
            parts = torch.split(self._joined, self.widths)
            for weight, part in zip(weights, parts, strict=True):
                weight.data = part
        return self._joined


def _base(layer: Any) -> Any:
    """The linear layer below an adapter, or the layer itself."""
    return getattr(layer, "base_layer", layer)


def _bias(bases: list[Any]) -> Tensor | None:
    if all(base.bias is None for base in bases):
        return None
    return torch.cat(
        [base.weight.new_zeros(base.out_features) if base.bias is None else base.bias for base in bases]
    )


def _views_of(joined: Tensor, weights: list[Tensor]) -> bool:
    """Whether the weights still lie one after another in `joined`; a model that was moved has new ones."""
    address = joined.data_ptr()
    for weight in weights:
        if weight.data_ptr() != address or weight.dtype != joined.dtype:
            return False
        address += weight.numel() * weight.element_size()
    return True


def _adapted(layer: Any, x: Tensor, output: Tensor, dropped: dict[float, Tensor]) -> Tensor:
    """Add the products of the active LoRA adapters, in the precision of `x` (their weights are float32)."""
    if layer.merged or layer.disable_adapters:
        return output
    for name in layer.active_adapters:
        if name in layer.lora_A:
            down, up = layer.lora_A[name].weight.to(x.dtype), layer.lora_B[name].weight.to(x.dtype)
            dropout = layer.lora_dropout[name]
            share = float(getattr(dropout, "p", 0.0))
            if share not in dropped:
                dropped[share] = dropout(x)
            output = output + F.linear(F.linear(dropped[share], down), up) * layer.scaling[name]
    return output
