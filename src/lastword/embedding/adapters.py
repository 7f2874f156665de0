"""LoRA adapters in folders as peft writes them: loaded into a model, and swapped there.

Source: LoRA, arXiv:2106.09685, through the peft library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lastword.errors import MissingFileError, ModelError, WorkError, first_line

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"


def attach_adapter(model: nn.Module, folder: Path) -> None:
    """Load a stored adapter into a model that has none, in place, frozen.

    Raises:
        MissingFileError: a file of the adapter is missing.
        ModelError: not a LoRA adapter, or modules that this model does not have.
        WorkError: the weights do not fit.
    """
    try:
        peft.inject_adapter_in_model(adapter_settings(folder), model)
    except ValueError as error:
        raise ModelError(f"{folder / SETTINGS} does not fit the model: {first_line(error)}") from error
    model.requires_grad_(False).train(False)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()
    load_adapter(model, folder)


def load_adapter(model: nn.Module, folder: Path) -> None:
    """Replace the weights of the adapter in a model, in place.

    Raises:
        MissingFileError: there is no file of weights.
        WorkError: the file is damaged, or does not have exactly the matrices of the adapter.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a folder that peft or lastword wrote an adapter to")
    try:
        saved = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WorkError(f"{path} is damaged: {first_line(error)}") from error
    parameters = {name: p for name, p in model.named_parameters() if ".lora_" in name}
    names = {f"base_model.model.{saved_name(name)}": name for name in parameters}
    if saved.keys() != names.keys():
        raise WorkError(f"{path} does not fit: {len(saved)} matrices, the model has {len(names)}")
    for key, weight in saved.items():
        expected = parameters[names[key]].shape
        if weight.shape != expected:
            raise WorkError(f"{path} does not fit: {key} is {tuple(weight.shape)}, not {tuple(expected)}")
    with torch.no_grad():
        for key, weight in saved.items():
            parameters[names[key]].copy_(weight)


def adapter_settings(folder: Path) -> Any:
    """The settings of a stored adapter, as peft's `LoraConfig`.

    Raises:
        MissingFileError: there is no file of settings.
        ModelError: it is damaged, or not a LoRA adapter.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a folder that peft or lastword wrote an adapter to")
    try:
        settings = peft.PeftConfig.from_pretrained(str(folder))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {first_line(error)}") from error
    if not isinstance(settings, peft.LoraConfig):
        raise ModelError(f"{path} is an adapter of kind {settings.peft_type}: lastword reads LORA")
    return settings


def saved_name(name: str) -> str:
    """Name of a matrix in a file, where peft leaves out the adapter's name ("default")."""
    return name.replace(".default.", ".")
