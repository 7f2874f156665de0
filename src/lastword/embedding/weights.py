"""The weights of a folder: an adapter merged in, layers above the pooled one left out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel

from lastword.embedding.stack import layer_stack
from lastword.errors import ModelError, WorkError, first_line


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """State dict in float32 with every LoRA layer's product added to the weight of its base layer."""
    weights: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if ".lora_" in name:
            continue
        owner, _, leaf = name.rpartition(".")
        value = tensor.detach().cpu().float()
        if owner.endswith(".base_layer") and leaf == "weight":
            layer: Any = model.get_submodule(owner.removesuffix(".base_layer"))
            for adapter in layer.active_adapters:
                value = value + layer.get_delta_weight(adapter).detach().cpu().float()
        weights[name.replace(".base_layer.", ".")] = value.contiguous()
    return weights


# Lists with one entry for each layer whose name does not say so. A list of two numbers of a model with two layers is
# none, such as the time_step_limit of Falcon H1.
_PER_LAYER = ("activation_sparsity_pattern", "indexer_types", "intermediate_size")


def cut_layers(model: Any, layers: int) -> None:
    """Remove all layers but the first ones, in place; the model applies its final norm to the output of the last left.

    Args:
        model: the Hugging Face module.
        layers: number of layers to keep.

    Raises:
        ModelError: the layers were not found.
    """
    config = model.config.get_text_config()
    before, stack = config.num_hidden_layers, layer_stack(model)
    if stack is None:
        raise ModelError(f"a {config.model_type} model has no list of its {before} layers: it cannot be cut")
    del stack[layers:]
    config.num_hidden_layers = layers
    for name, value in config.to_dict().items():
        if isinstance(value, list) and len(value) == before and ("layer" in name or name in _PER_LAYER):
            setattr(config, name, value[:layers])


def write_weights(
    model: Any, folder: Path, dtype: torch.dtype, layer: int | None = None, *, bidirectional: bool = False
) -> None:
    """Write `config.json` and the merged weights.

    Args:
        model: the Hugging Face module, with or without an adapter.
        folder: an existing folder.
        dtype: of the stored weights; the conversion is the last step.
        layer: leave out the layers after this one; None keeps all.
        bidirectional: say in `config.json` that attention is not causal.

    Raises:
        WorkError: the weights could not be written.
        ModelError: the model cannot be cut there.
    """
    weights = merged_weights(model)
    config = type(model.config).from_dict(model.config.to_dict())
    config.dtype = dtype
    if bidirectional:
        config.is_causal = False
    with torch.device("meta"):
        merged = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    if layer is not None:
        cut_layers(merged, layer)
    names = merged.state_dict().keys()
    merged.load_state_dict({name: weights[name] for name in names}, assign=True)
    try:
        merged.to(dtype).save_pretrained(folder)
    except (SafetensorError, RuntimeError) as error:  # raised when the disk is full
        raise WorkError(f"could not write the weights: {first_line(error)}") from error
    except (ValueError, StrictDataclassError) as error:  # a configuration of fewer layers that is not valid
        raise ModelError(f"a {config.model_type} model cannot be written so: {first_line(error)}") from error
    _write_rope_for_old_readers(folder / "config.json")


def _write_rope_for_old_readers(path: Path) -> None:
    """Repeat the rotary settings under the names that they had before transformers 5.

    A reader that knows only `rope_scaling` must see that there is scaling, and refuse what it cannot do
    rather than ignore it silently.
    """
    config = json.loads(path.read_text())
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            config["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    path.write_text(json.dumps(config, indent=2) + "\n")
