"""LoRA adapters that lie in folders, as peft writes them: placed in a model, swapped in place.

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

from lastword.errors import MissingFileError, ModelError, WorkError

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"


def place_adapter(model: nn.Module, folder: Path) -> None:
    """Put a stored adapter into a model that has none, in place, ready to embed with.

    Raises:
        MissingFileError: a file of the adapter is not there.
        ModelError: settings that are no LoRA adapter's, or modules that this model does not have.
        WorkError: the weights do not fit.
    """
    try:
        peft.inject_adapter_in_model(adapter_settings(folder), model)
    except ValueError as error:
        raise ModelError(
            f"{folder / SETTINGS} does not fit the model: {str(error).splitlines()[0]}"
        ) from error
    model.requires_grad_(False).train(False)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()
    load_adapter(model, folder)


def load_adapter(model: nn.Module, folder: Path) -> None:
    """Swap the weights of the adapter that is in the model, in place.

    Raises:
        MissingFileError: there is no file of weights.
        WorkError: the file is damaged, or does not hold exactly the adapter's matrices.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a folder that peft or lastword wrote an adapter to")
    try:
        saved = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WorkError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    parameters = {name: p for name, p in model.named_parameters() if ".lora_" in name}
    names = {f"base_model.model.{saved_name(name)}": name for name in parameters}
    if saved.keys() != names.keys():
        raise WorkError(f"{path} does not fit: {len(saved)} matrices, the model takes {len(names)}")
    for key, weight in saved.items():
        wanted = parameters[names[key]].shape
        if weight.shape != wanted:
            raise WorkError(f"{path} does not fit: {key} is {tuple(weight.shape)}, not {tuple(wanted)}")
    with torch.no_grad():
        for key, weight in saved.items():
            parameters[names[key]].copy_(weight)


def adapter_settings(folder: Path) -> Any:
    """What peft knows about a stored adapter, as its `LoraConfig`.

    Raises:
        MissingFileError: there is no file of settings.
        ModelError: it is damaged, or of another kind of adapter.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a folder that peft or lastword wrote an adapter to")
    try:
        settings = peft.PeftConfig.from_pretrained(str(folder))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(settings, peft.LoraConfig):
        raise ModelError(f"{path} is an adapter of kind {settings.peft_type}: lastword reads LORA")
    return settings


def saved_name(name: str) -> str:
    """Name of a matrix in a file; peft leaves the adapter's own name ("default") out of it."""
    return name.replace(".default.", ".")
