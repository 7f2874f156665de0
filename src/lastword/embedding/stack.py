"""The layers of a decoder, found by their number, and the modules that texts pass through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers import PreTrainedModel


def text_modules(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """Path and module, as `named_modules` gives them, without models for images or sounds inside this one.

    Such a model has a configuration of its own.
    """
    own = (model.config, model.config.get_text_config())
    others = [
        f"{path}."
        for path, module in model.named_modules()
        if isinstance(module, PreTrainedModel) and not any(module.config is config for config in own)
    ]
    for path, module in model.named_modules():
        if not f"{path}.".startswith(tuple(others)):
            yield path, module


def layer_stack(model: Any) -> nn.ModuleList | None:
    """The list of the model's layers, or None if there is no list of that length."""
    count = model.config.get_text_config().num_hidden_layers
    stacks = (module for _, module in text_modules(model) if isinstance(module, nn.ModuleList))
    return next((stack for stack in stacks if len(stack) == count), None)
