"""LoRA adapters: added to a model and saved without it; `embedding/adapters.py` reads them.

Source: LoRA, arXiv:2106.09685, through the peft library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import save
from torch import Tensor, nn

from lastword.config import TrainConfig
from lastword.embedding.adapters import WEIGHTS, saved_name
from lastword.embedding.weights import hash_tensors
from lastword.errors import ModelError


def lora_config(config: TrainConfig) -> peft.LoraConfig:
    """Settings of the adapter, as peft has them."""
    return peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=[f"{name}_proj" for name in config.projections],
        task_type="FEATURE_EXTRACTION",
        base_model_name_or_path=config.model,
    )


def add_adapter(model: nn.Module, config: TrainConfig) -> list[nn.Parameter]:
    """Add new adapters to a frozen model, in place.

    Returns:
        The trainable parameters, float32 whatever the precision of the model.

    Raises:
        ModelError: the model has none of the projections.
    """
    torch.manual_seed(config.seed)
    try:
        peft.inject_adapter_in_model(lora_config(config), model)
    except ValueError as error:
        linear = sorted(
            {name.rpartition(".")[2] for name, m in model.named_modules() if isinstance(m, nn.Linear)}
        )
        raise ModelError(
            f"{config.model} has none of the projections {', '.join(config.projections)}; its linear layers are: "
            f"{', '.join(linear) or 'none'}"
        ) from error
    trainable = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)
        if ".lora_" in name:
            parameter.data = parameter.data.float()
            trainable.append(parameter)
    return trainable


def adapter_weights(model: nn.Module) -> dict[str, Tensor]:
    """Name → weight of every adapter matrix, on the CPU."""
    return {
        name: parameter.detach().cpu().contiguous().clone()
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }


def save_adapter(model: nn.Module, folder: Path, config: TrainConfig) -> None:
    """Write an adapter in the format of peft, which can load it over the base model."""
    folder.mkdir(parents=True, exist_ok=True)
    renamed = {
        f"base_model.model.{saved_name(name)}": weight for name, weight in adapter_weights(model).items()
    }
    (folder / WEIGHTS).write_bytes(save(renamed))
    lora_config(config).save_pretrained(str(folder))


def describe(config: TrainConfig, model: nn.Module) -> dict[str, Any]:
    """The adapter's entry in `lastword.json`."""
    return {
        "kind": "lora",
        "rank": config.rank,
        "alpha": config.alpha,
        "projections": list(config.projections),
        "sha256": hash_tensors(adapter_weights(model)),
    }
