"""Run a model in float32 whatever the precision of its weights: proofs in bfloat16 would prove little.

Only the layer that is running has its weights in float32, so that a large model needs little more memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from lastword.embedding.stack import layer_stack

_HALF = (torch.bfloat16, torch.float16)


@contextmanager
def in_float32(model: Any) -> Iterator[None]:
    """Compute in float32 inside the `with`; weights that are not floating-point numbers stay as they are."""
    layers = list(layer_stack(model) or [])
    of_layers = {id(tensor) for layer in layers for tensor in _halves(layer)}
    embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    of_embeddings = {id(embedding.weight) for embedding in embeddings}  # large: their outputs are converted
    with ExitStack() as stack:
        for embedding in embeddings:
            stack.callback(embedding.register_forward_hook(_output_in_float32).remove)
        for layer in layers:
            convert, restore = _conversion(_halves(layer))
            stack.callback(layer.register_forward_pre_hook(convert).remove)
            stack.callback(layer.register_forward_hook(restore, always_call=True).remove)
        outside = [t for t in _halves(model) if id(t) not in of_layers and id(t) not in of_embeddings]
        convert, restore = _conversion(outside)
        convert()
        stack.callback(restore)
        yield


def _output_in_float32(module: nn.Module, args: object, output: Tensor) -> Tensor:
    return output.float()


def _halves(module: nn.Module) -> list[Tensor]:
    return [tensor for tensor in chain(module.parameters(), module.buffers()) if tensor.dtype in _HALF]


def _conversion(tensors: list[Tensor]) -> tuple[Callable[..., None], Callable[..., None]]:
    """Two hooks: to float32, and back to the very tensors that there were."""
    stored: list[Tensor] = []

    def convert(*_: object) -> None:
        stored[:] = [tensor.data for tensor in tensors]
        for tensor in tensors:
            tensor.data = tensor.data.float()

    def restore(*_: object) -> None:
        for tensor, data in zip(tensors, stored, strict=False):  # none is stored before the first call
            tensor.data = data

    return convert, restore
