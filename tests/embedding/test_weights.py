"""Weights of a folder: what their hash depends on, adapters merged in, layers left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.embedding.weights import cut_layers, hash_tensors, merged_weights, write_weights
from lastword.training.adapter import add_adapter

Load = Callable[..., Embedder]
TENSORS = {"b": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "a": torch.tensor([5, 6])}


def test_hash_is_of_names_shapes_types_and_bytes_in_the_order_of_names() -> None:
    content = b"a (2,) torch.int64\n" + TENSORS["a"].numpy().tobytes()
    content += b"b (2, 2) torch.float32\n" + TENSORS["b"].numpy().tobytes()
    assert hash_tensors(TENSORS) == hashlib.sha256(content).hexdigest()
    strided = {"a": TENSORS["a"], "b": TENSORS["b"].T.contiguous().T}
    assert hash_tensors(strided) == hash_tensors(TENSORS)
    assert hash_tensors({"a": torch.tensor(2.5)}) != hash_tensors({"a": torch.tensor([2.5])})


def test_merged_weights_are_float32_on_their_own(load: Load) -> None:
    model = load(dtype="bfloat16").backbone.model
    weights = merged_weights(model)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert all(weight.is_contiguous() for weight in weights.values())
    assert weights.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(weights[name], tensor.float())


@pytest.mark.parametrize("layer", [1, None])
def test_written_weights_have_the_layers_and_the_type_that_were_asked_for(
    load: Load, tmp_path: Path, layer: int | None
) -> None:
    model = load().backbone.model
    model.config.layer_types = ["full_attention", "sliding_attention"]
    write_weights(model, tmp_path, torch.bfloat16, layer)
    written: dict[str, Tensor] = load_file(tmp_path / "model.safetensors")
    expected = {
        name: weight.bfloat16()
        for name, weight in model.state_dict().items()
        if layer is None or not name.startswith("layers.1.")
    }
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], weight) for name, weight in expected.items())
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["dtype"], config["num_hidden_layers"]) == ("bfloat16", layer or 2)
    assert config["layer_types"] == ["full_attention", "sliding_attention"][:layer]
    assert (tmp_path / "config.json").read_text().endswith("}\n")
    assert model.config.num_hidden_layers == 2, "the model itself stays as it is"


def test_lists_of_a_configuration_that_do_not_name_layers_are_not_cut(load: Load) -> None:
    model = load().backbone.model
    lists = {
        "layer_types": ["full_attention"] * 2,
        "indexer_types": [1, 2],
        "limits": [0, 1],
        "layer_ids": [1, 2, 3],
    }
    for name, value in lists.items():
        setattr(model.config, name, value)
    cut_layers(model, 1)
    assert len(model.layers) == model.config.num_hidden_layers == 1
    assert {name: getattr(model.config, name) for name in lists} == {
        "layer_types": ["full_attention"], "indexer_types": [1], "limits": [0, 1], "layer_ids": [1, 2, 3],
    }  # fmt: skip


def test_the_product_of_an_adapter_is_added_to_the_weight_under_it(load: Load) -> None:
    model = load().backbone.model
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    for parameter in add_adapter(model, TrainConfig(rank=2, alpha=6.0, projections=("q",))):
        parameter.data = torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(parameter.shape[0])
        )
    weights, module = merged_weights(model), model.layers[1].self_attn.q_proj
    assert weights.keys() == before.keys()
    product = 6.0 / 2 * module.lora_B["default"].weight @ module.lora_A["default"].weight
    name = "layers.1.self_attn.q_proj.weight"
    torch.testing.assert_close(weights[name], before[name] + product.detach())
    changed = {name for name, weight in weights.items() if not torch.equal(weight, before[name])}
    assert changed == {f"layers.{i}.self_attn.q_proj.weight" for i in (0, 1)}
    assert not any(weight.requires_grad for weight in weights.values())


@pytest.mark.parametrize("scaling", [{"rope_type": "default"}, {"rope_type": "linear", "factor": 2.0}])
def test_rotary_settings_are_written_for_old_readers_too(
    load: Load, tmp_path: Path, scaling: dict[str, Any]
) -> None:
    model = load().backbone.model
    model.config.rope_parameters = {"rope_theta": 500.0, **scaling}
    write_weights(model, tmp_path, torch.float32)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["rope_parameters"] == {"rope_theta": 500.0, **scaling}
    assert config["rope_theta"] == 500.0
    assert config.get("rope_scaling") == (scaling if scaling["rope_type"] == "linear" else None)


def test_a_model_without_rotary_settings_gets_none(load: Load, gpt2_folder: Path, tmp_path: Path) -> None:
    write_weights(load(gpt2_folder).backbone.model, tmp_path, torch.float32)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not [name for name in config if "rope" in name]
