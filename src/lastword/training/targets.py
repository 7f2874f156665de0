"""Which modules of a model are its q, k, v, o, gate, up and down: names differ by model, and some models fuse them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from torch import nn
from transformers.pytorch_utils import Conv1D

from lastword.config import PROJECTIONS
from lastword.embedding.stack import text_modules

# Name of a module → the projections that it computes.
_ANYWHERE: dict[str, str] = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "o", "up_proj": "up", "down_proj": "down",  # Llama
    "gate_up_proj": "gate up", "qkv_proj": "q k v",  # Phi-3, GLM
    "q_a_proj": "q", "q_b_proj": "q", "kv_a_proj_with_mqa": "k v", "kv_b_proj": "k v",  # DeepSeek
    "query_key_value": "q k v", "dense_h_to_4h": "up", "dense_4h_to_h": "down",  # GPT-NeoX, Falcon, BLOOM
    "c_attn": "q k v", "c_fc": "up",  # GPT-2, Starcoder
    "fc1": "up", "fc2": "down", "fc_in": "up", "fc_out": "down",  # OPT, Phi, GPT-J
    "w1": "gate", "w3": "up", "w2": "down",  # LFM2
    "Wqkv": "q k v", "Wi": "gate up",  # MPT, ModernBERT
    "input_linear": "gate up", "output_linear": "down",  # Granite's shared experts
    "in_proj_qkv": "q k v", "in_proj_qkvz": "q k v",  # linear attention of Qwen3-Next
    "project_q": "q", "project_k": "k", "project_v": "v", "attention_out": "o", "w_out": "down",  # CPM-Ant
    "Wq": "q", "Wk": "k", "Wv": "v",  # CTRL
    "q_lin": "q", "k_lin": "k", "v_lin": "v", "out_lin": "o", "lin1": "up", "lin2": "down",  # XLM
}  # fmt: skip
_IN_ATTENTION = {"c_proj": "o", "dense": "o", "out_proj": "o", "proj": "o", "Wo": "o", "kv_proj": "k v"}
_ELSEWHERE = {"c_proj": "down", "gate_proj": "gate", "Wo": "down"}


@dataclass(frozen=True)
class Targets:
    """The modules that get an adapter.

    Attributes:
        modules: names for peft, each the end of a module's path.
        transposed: whether their weights are stored as (inputs, outputs), as GPT-2 does.
        missing: projections that were asked for and that no module computes.
        added: module → the projections that it computes together, where not all of them were asked for.
        experts: names of stacked weights of experts, which get no adapter.
    """

    modules: tuple[str, ...]
    transposed: bool
    missing: tuple[str, ...]
    added: dict[str, tuple[str, ...]]
    experts: tuple[str, ...]


def find_targets(model: Any, projections: Sequence[str]) -> Targets:
    """Find the modules of a model that compute some projections.

    Args:
        model: the Hugging Face module, without an adapter.
        projections: of `PROJECTIONS`.
    """
    linear = _linear(model)
    computes = {path: _computed_by(path) for path in linear}
    chosen = [path for path, parts in computes.items() if set(parts) & set(projections)]
    others = {path for path, _ in model.named_modules()}
    added: dict[str, tuple[str, ...]] = {}
    for path in chosen:
        if set(computes[path]) - set(projections):
            added[path.rpartition(".")[2]] = computes[path]
    found = {part for path in chosen for part in computes[path]}
    return Targets(
        modules=short_names(chosen, others),
        transposed=any(isinstance(linear[path], Conv1D) for path in chosen),
        missing=tuple(part for part in projections if part not in found),
        added=added,
        experts=_stacked_experts(model) if {"gate", "up", "down"} & set(projections) else (),
    )


def adapted(model: Any) -> dict[str, list[str]]:
    """Name of each kind of module that has an adapter → the projections that it computes."""
    linear = _linear(model)
    kinds = {_kind(path) for path, module in linear.items() if isinstance(module, BaseTunerLayer)}
    paths = [path for path in linear if _kind(path) in kinds]  # in the layers without an adapter, too
    computes = {
        name: {part for path in paths if _ends(path, name) for part in _computed_by(path)}
        for name in short_names(paths, [path for path, _ in model.named_modules()])
    }
    return {name: [part for part in PROJECTIONS if part in parts] for name, parts in computes.items()}


def taken_for_experts(config: LoraConfig, model: Any) -> set[str]:
    """The target modules of a configuration that peft would replace by the stacked weights of experts.

    In models of older versions of transformers an expert's modules had these names, and peft reads old adapters.
    """
    converted = copy.deepcopy(config)
    convert_peft_config_for_transformers(converted, model, None)
    return set(config.target_modules) - set(converted.target_modules)


def linear_names(model: Any) -> list[str]:
    """The last part of the name of every linear layer."""
    return sorted({path.rpartition(".")[2] for path in _linear(model)})


def short_names(paths: Sequence[str], of: Iterable[str]) -> tuple[str, ...]:
    """The shortest ends of these paths that are ends of no other path: `q_proj`, `mlp.c_proj`, or a whole path."""
    names, others = set(), set(of) - set(paths)
    for path in paths:
        ends = (".".join(path.split(".")[-count:]) for count in (1, 2))
        names.add(next((end for end in ends if not any(_ends(other, end) for other in others)), path))
    return tuple(sorted(names))


def _kind(path: str) -> str:
    """The path of a module without the numbers of layers."""
    return ".".join("#" if part.isdigit() else part for part in path.split("."))


def _ends(path: str, end: str) -> bool:
    return path == end or path.endswith(f".{end}")


def _linear(model: Any) -> dict[str, nn.Module]:
    """Path → every linear layer, those with an adapter included and what is inside an adapter left out."""
    return {
        path: module
        for path, module in text_modules(model)
        if isinstance(module, nn.Linear | Conv1D | BaseTunerLayer)
        and ".lora_" not in path
        and not _ends(path, "base_layer")
    }


def _computed_by(path: str) -> tuple[str, ...]:
    """The projections that a module computes, by its name and that of its parent."""
    parent, leaf = ("", *path.removesuffix(".linear").split("."))[-2:]
    if parent.endswith("_proj"):  # a gate or convolution of a projection
        return ()
    in_attention = "attn" in parent.lower() or "attention" in parent.lower()
    names = _ANYWHERE.get(leaf) or (_IN_ATTENTION if in_attention else _ELSEWHERE).get(leaf, "")
    return tuple(part for part in PROJECTIONS if part in names.split())


def _stacked_experts(model: Any) -> tuple[str, ...]:
    """Names of the weights with one matrix for each expert, such as `experts.down_proj`."""
    paths = [path for path, weight in model.named_parameters() if weight.dim() == 3 and "expert" in path]
    return tuple(sorted({".".join(path.split(".")[-2:]) for path in paths}))
