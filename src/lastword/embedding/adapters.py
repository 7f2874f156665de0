"""Adapters in folders as peft writes them: LoRA placed in a model and swapped there, any kind merged into its weights.

Source: LoRA, arXiv:2106.09685, through the peft library.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from lastword.embedding.latent_pooling import TRAINED_POOLING, LatentPooling
from lastword.errors import MissingFileError, ModelError, WorkError, first_line

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"
_SHARED = re.compile(r"base_model\.model\.(?!model\.).*\.lora_[AB]\.weight")


def attach_adapter(model: nn.Module, folder: Path, name: str = "default") -> None:
    """Load a stored adapter into a model that has none of this name, in place, frozen.

    Raises:
        MissingFileError: a file of the adapter is missing.
        ModelError: not a LoRA adapter, or modules that this model does not have.
        WorkError: the weights do not fit.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
            peft.inject_adapter_in_model(adapter_settings(folder), model, adapter_name=name)
    except ValueError as error:
        raise ModelError(f"{folder / SETTINGS} does not fit the model: {first_line(error)}") from error
    model.requires_grad_(False).train(False)
    for matrix, parameter in model.named_parameters():
        if ".lora_" in matrix:
            parameter.data = parameter.data.float()
    load_adapter(model, folder, name)


def load_adapter(model: nn.Module, folder: Path, name: str = "default") -> None:
    """Replace the weights of the adapter in a model, and of its pooling if that has weights, in place.

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
    parameters = {
        matrix: p for matrix, p in model.named_parameters() if ".lora_" in matrix and f".{name}." in matrix
    }
    names = {f"base_model.model.{saved_name(matrix, name)}": matrix for matrix in parameters}
    if saved.keys() != names.keys():
        raise WorkError(f"{path} does not fit: {len(saved)} matrices, the model has {len(names)}")
    for key, weight in saved.items():
        expected = parameters[names[key]].shape
        if weight.shape != expected:
            raise WorkError(f"{path} does not fit: {key} is {tuple(weight.shape)}, not {tuple(expected)}")
    pooling = getattr(model, TRAINED_POOLING, None)
    with torch.no_grad():
        for key, weight in saved.items():
            parameters[names[key]].copy_(weight)
        if pooling is not None:
            pooling.queries.copy_(LatentPooling.load(folder, TRAINED_POOLING).queries)


def activate_adapter(model: nn.Module, name: str | None) -> None:
    """Let only the adapter of this name act in a model that may have several; None is the model without any."""
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.enable_adapters(name is not None)
            if name is not None:
                module.set_adapter(name, inference_mode=True)


def can_share(folder: Path) -> bool:
    """Whether the adapter in a folder can lie beside others in one model: plain LoRA, trained without the head."""
    try:
        settings = adapter_settings(folder)
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            matrices = list(file.keys())
    except (SafetensorError, OSError, ModelError):
        return False  # loaded alone it is merged, or refused with the reason
    plain = not getattr(settings, "alora_invocation_tokens", None)
    return plain and all(_SHARED.fullmatch(matrix) for matrix in matrices)


def merge_adapter(model: Any, name: str, revision: str | None = None) -> None:
    """Merge a stored adapter into the weights of a Hugging Face module, in place.

    Args:
        model: a module without an adapter.
        name: a folder, or a name on the Hub; the adapter may have been trained with the vocabulary head.
        revision: branch, tag or commit on the Hub.

    Raises:
        ModelError: an adapter that does not fit, or of a kind that cannot be merged.
    """
    try:
        report = model.load_adapter(name, adapter_kwargs={"revision": revision})
        settings = model.peft_config["default"]
        strays = [key for key in report.unexpected_keys if "lm_head" not in key]
        for problem, keys in (("lacks", report.missing_keys), ("does not fit because of", strays)):
            if keys:
                raise ValueError(f"it {problem} {len(keys)} of its weights, {min(keys)} first")
        if getattr(settings, "alora_invocation_tokens", None):
            raise ValueError("it acts on some tokens only")
        merged_paths: list[str] = []
        for path, module in list(model.named_modules()):
            if path.startswith(tuple(f"{outer}." for outer in merged_paths)):
                continue  # merged with the layer around it
            parent, _, leaf = path.rpartition(".")
            if hasattr(module, "unload_and_optionally_merge_module"):
                merged = module.unload_and_optionally_merge_module(
                    merge=True, safe_merge=True, adapter_names=None
                )
            elif isinstance(module, BaseTunerLayer):
                module.merge(safe_merge=True)
                merged = module.get_base_layer()
            else:
                continue
            setattr(model.get_submodule(parent), leaf, merged)
            merged_paths.append(path)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OSError,
        ImportError,
        NotImplementedError,
        SafetensorError,
    ) as error:
        raise ModelError(
            f"the adapter in {name} cannot be merged into its base model: {first_line(error)}"
        ) from error
    del model.peft_config
    model._hf_peft_config_loaded = False


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


def saved_name(matrix: str, name: str = "default") -> str:
    """Name of a matrix in a file, where peft leaves out the adapter's name."""
    return matrix.replace(f".{name}.", ".")
