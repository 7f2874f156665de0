"""The weights of a folder: an adapter merged in, layers above the pooled one left out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel

from lastword.errors import WorkError

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """State dict in float32 with every LoRA layer's product added to the weight it stands beside."""
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


def write_weights(embedder: Embedder, folder: Path, dtype: torch.dtype) -> None:
    """Write `config.json` and the merged weights, converted to `dtype` at the very end."""
    weights = merged_weights(embedder.backbone.model)
    config = type(embedder.backbone.model.config).from_dict(embedder.backbone.model.config.to_dict())
    if embedder.layer is not None:  # the layers above the pooled one are left out
        config.num_hidden_layers = embedder.layer
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: embedder.layer]
    config.dtype = dtype
    with torch.device("meta"):
        model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    names = model.state_dict().keys()
    model.load_state_dict({name: weights[name] for name in names}, assign=True)
    try:
        model.to(dtype).save_pretrained(folder)
    except (SafetensorError, RuntimeError) as error:  # what a full disk looks like from there
        raise WorkError(f"could not write the weights: {str(error).splitlines()[0]}") from error
    _write_rope_for_old_readers(folder / "config.json")


def _write_rope_for_old_readers(path: Path) -> None:
    """Repeat the rotary settings under their names before transformers 5.

    A reader that knows only `rope_scaling` must see that there is scaling, and refuse it if it cannot
    do it, rather than drop it without a word.
    """
    config = json.loads(path.read_text())
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            config["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    path.write_text(json.dumps(config, indent=2) + "\n")
