"""Linear layers with the same input as one matrix product, with their LoRA adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Adapter:
    """An active LoRA adapter.

    Attributes:
        index: index of its layer in the projection.
        down: (rank, inputs) float32.
        up: (outputs, rank) float32, scaled.
        dropout: dropout of its input.
    """

    index: int
    down: Tensor
    up: Tensor
    dropout: nn.Module


class Projection:
    """q, k and v, or gate and up, or a single layer.

    The weights of the layers become views of one tensor, so fusing them costs no memory and the Hugging Face
    model still works with them. The layers are looked up by name at every call, since an adapter may replace a
    layer after the model was read.
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
        """(tokens, dim) → one (tokens, width) for each layer.

        LoRA's products are computed in the precision of `x`; the scaling goes into the smaller matrix.
        """
        layers = self.layers
        bases = [_base(layer) for layer in layers]
        if not all(
            type(base) is nn.Linear for base in bases
        ):  # quantised, for example: each has a product of its own
            return [layer(x) for layer in layers]
        outputs = list(torch.split(F.linear(x, self._weight(bases), _bias(bases)), self.widths, dim=-1))
        for adapters in _by_dropout(layers):
            down = torch.cat([adapter.down for adapter in adapters]).to(x.dtype)
            inner = F.linear(adapters[0].dropout(x), down)  # one draw for all of them; draws are slow
            parts = torch.split(inner, [len(adapter.down) for adapter in adapters], dim=-1)
            for adapter, part in zip(adapters, parts, strict=True):
                up = adapter.up.to(x.dtype).t()
                outputs[adapter.index] = torch.addmm(outputs[adapter.index], part, up)
        return outputs

    def _weight(self, bases: list[Any]) -> Tensor:
        if len(bases) == 1:
            only: Tensor = bases[0].weight
            return only
        weights = [base.weight for base in bases]
        if any(weight.requires_grad for weight in weights):
            return torch.cat(weights)
        if self._joined is None or not _views_of(self._joined, weights):
            with torch.inference_mode(False):  # a tensor made in inference mode could not be trained over
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
    """Whether the weights are still consecutive views of `joined`; a model that was moved has new ones."""
    address = joined.data_ptr()
    for weight in weights:
        if weight.data_ptr() != address or weight.dtype != joined.dtype:
            return False
        address += weight.numel() * weight.element_size()
    return True


def _by_dropout(layers: list[Any]) -> list[list[Adapter]]:
    """The active adapters of the layers, grouped by the dropout of their input."""
    groups: dict[float, list[Adapter]] = {}
    for index, layer in enumerate(layers):
        if _base(layer) is layer or layer.merged or layer.disable_adapters:
            continue
        for name in layer.active_adapters:
            if name in layer.lora_A:
                dropout, up = layer.lora_dropout[name], layer.lora_B[name].weight * layer.scaling[name]
                adapter = Adapter(index, layer.lora_A[name].weight, up, dropout)
                groups.setdefault(float(getattr(dropout, "p", 0.0)), []).append(adapter)
    return list(groups.values())
