"""LoRA adapters: added to a model and saved without it; `embedding/adapters.py` reads them.

Source: LoRA, arXiv:2106.09685, through the peft library.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import save
from torch import Tensor, nn

from lastword.config import PROJECTIONS, TrainConfig
from lastword.console import warn
from lastword.embedding.adapters import WEIGHTS, saved_name
from lastword.embedding.latent_pooling import TRAINED_POOLING
from lastword.embedding.stack import layer_stack
from lastword.embedding.weights import hash_tensors
from lastword.errors import ModelError, RequestError, first_line
from lastword.training.targets import Targets, adapted, find_targets, linear_names, taken_for_experts


def lora_config(
    config: TrainConfig, model: Any, modules: Iterable[str], *, transposed: bool = False
) -> peft.LoraConfig:
    """Settings of the adapter, as peft has them."""
    layers = _adapted_layers(model, config)
    return peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(modules),
        layers_to_transform=layers and layers[1],
        layers_pattern=layers and layers[0],
        fan_in_fan_out=transposed,
        task_type="FEATURE_EXTRACTION",
        base_model_name_or_path=config.model,
    )


def add_adapter(model: nn.Module, config: TrainConfig) -> list[nn.Parameter]:
    """Add new adapters to a frozen model, in place; a warning names what gets none, or gets one unasked.

    Returns:
        The trainable parameters, those of a pooling with weights included, float32 whatever the precision of the model.

    Raises:
        ModelError: the model has none of the projections, or peft cannot adapt it.
    """
    torch.manual_seed(config.seed)
    targets = find_targets(model, config.projections)
    settings = lora_config(config, model, targets.modules, transposed=targets.transposed)
    try:
        lost = taken_for_experts(settings, model)
        settings.target_modules = set(targets.modules) - lost
        if settings.target_modules:
            peft.inject_adapter_in_model(settings, model)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"peft cannot adapt {config.model}: {first_line(error)}") from error
    if not settings.target_modules:
        raise ModelError(
            f"{config.model} has none of the projections {', '.join(config.projections)}; its linear layers are: "
            f"{', '.join(linear_names(model)) or 'none'}"
        )
    _warn(targets, lost, config)
    trainable = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.startswith(f"{TRAINED_POOLING}."))
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
            trainable.append(parameter)
    return trainable


def layers_below(model: Any, config: TrainConfig) -> int:
    """Number of layers below the adapted ones.

    Raises:
        RequestError: the model has fewer layers than `adapt_layers`.
    """
    depth: int = model.config.get_text_config().num_hidden_layers
    if config.adapt_layers is None:
        return 0
    if config.adapt_layers > depth:
        raise RequestError(
            f"adapt_layers={config.adapt_layers}: {config.model} has {depth} layers"
            f"{f' with layer={config.layer}' if config.layer else ''}; give at most {depth}"
        )
    return depth - config.adapt_layers


def _adapted_layers(model: Any, config: TrainConfig) -> tuple[str, list[int]] | None:
    """Name of the list of layers and the numbers of those that get an adapter; None for all layers of the base model.

    Raises:
        RequestError, ModelError: there are fewer layers, or no list of them.
    """
    below, stack = layers_below(model, config), layer_stack(model)
    if not below and config.layer is None:
        return None
    if stack is None:
        kind = model.config.model_type
        raise ModelError(f"a {kind} model has no list of its layers: leave adapt_layers out")
    path = next(path for path, module in model.named_modules() if module is stack)
    return path.rpartition(".")[2], list(range(below, len(stack)))


def _warn(targets: Targets, lost: set[str], config: TrainConfig) -> None:
    """Say what differs from the projections that were asked for."""
    model, missing = config.model, targets.missing
    if targets.experts:
        warn(f"{model}: no adapter for the experts, which are stacked in {', '.join(targets.experts)}")
        missing = tuple(part for part in missing if part not in ("gate", "up", "down"))
    if lost:
        warn(
            f"{model}: {', '.join(sorted(lost))} get no adapter; peft takes these names for those of experts"
        )
    if missing:
        warn(f"{model} has no {', '.join(missing)}: {', '.join(targets.modules)} get an adapter")
    for name, parts in targets.added.items():
        extra = [part for part in parts if part not in config.projections]
        verb = "is" if len(extra) == 1 else "are"
        warn(
            f"{model}: {name} computes {', '.join(parts)} together, so {' and '.join(extra)} {verb} adapted too"
        )


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
    if (pooling := getattr(model, TRAINED_POOLING, None)) is not None:
        (folder / TRAINED_POOLING).mkdir(exist_ok=True)
        pooling.save(folder / TRAINED_POOLING)
    transposed = any(getattr(module, "fan_in_fan_out", False) for module in model.modules())
    lora_config(config, model, adapted(model), transposed=transposed).save_pretrained(str(folder))


def describe(config: TrainConfig, model: nn.Module) -> dict[str, Any]:
    """The adapter's entry in `lastword.json`: the modules that have one, and what these compute."""
    modules, pooling = adapted(model), getattr(model, TRAINED_POOLING, None)
    return {
        "kind": "lora",
        "rank": config.rank,
        "alpha": config.alpha,
        "projections": [part for part in PROJECTIONS if any(part in parts for parts in modules.values())],
        "modules": modules,
        "adapt_layers": config.adapt_layers,
        "sha256": hash_tensors(adapter_weights(model)),
        **({} if pooling is None else {"pooling_sha256": hash_tensors(pooling.state_dict())}),
    }
