"""Stored adapters: placed in a model and swapped, or refused with the file's name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.embedding.adapters import (
    activate_adapter,
    adapter_settings,
    attach_adapter,
    can_share,
    load_adapter,
)
from lastword.errors import MissingFileError, ModelError, WorkError
from lastword.training.adapter import add_adapter, save_adapter

Load = Callable[..., Embedder]
TEXTS = ["a man is driving a car", "the river was low"]


@pytest.fixture
def stored(tmp_path: Path, load: Load, llama_folder: Path) -> Callable[..., Path]:
    """An adapter with weights that matter, in a folder."""

    def write(name: str, seed: int, **settings: Any) -> Path:
        config = TrainConfig(model=str(llama_folder), rank=4, alpha=8.0, **settings)
        model = load().backbone.model
        parameters = add_adapter(model, config)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(0.1 * torch.randn_like(parameter))
        save_adapter(model, tmp_path / name, config)
        return tmp_path / name

    return write


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's own business
def test_a_placed_adapter_is_what_peft_makes_of_the_folder(
    stored: Callable[..., Path], load: Load, llama_folder: Path
) -> None:
    folder = stored("one", 1, dropout=0.5)
    embedder = load(template="ccw", pooling="lasttoken")
    before = embedder.encode(TEXTS)
    attach_adapter(embedder.backbone.model, folder)
    found = embedder.encode(TEXTS)
    assert np.abs(found - before).max() > 1e-3
    ids = torch.tensor(embedder.pipeline.tokenize(TEXTS[:1]).ids)
    theirs: Any = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(llama_folder), folder).eval()
    with torch.no_grad():
        state = theirs(ids).last_hidden_state[0, -1].numpy()
    assert found[0] == pytest.approx(state / np.linalg.norm(state), abs=1e-5)
    assert not any(parameter.requires_grad for parameter in embedder.backbone.model.parameters())


def test_a_placed_adapter_is_float32_in_a_model_that_is_not(stored: Callable[..., Path], load: Load) -> None:
    folder, model = stored("one", 1), load(dtype="bfloat16").backbone.model
    attach_adapter(model, folder)
    saved = load_file(folder / "adapter_model.safetensors")
    placed = {name: p for name, p in model.named_parameters() if ".lora_" in name}
    assert len(placed) == len(saved)
    for name, parameter in placed.items():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, saved[f"base_model.model.{name.replace('.default.', '.')}"])
    assert model.embed_tokens.weight.dtype == torch.bfloat16


def test_swapping_leaves_nothing_of_the_one_before(stored: Callable[..., Path], load: Load) -> None:
    one, other = stored("one", 1), stored("other", 2)
    fresh = load(template="ccw", pooling="lasttoken")
    attach_adapter(fresh.backbone.model, other)
    swapped = load(template="ccw", pooling="lasttoken")
    attach_adapter(swapped.backbone.model, one)
    load_adapter(swapped.backbone.model, other)
    assert np.array_equal(fresh.encode(TEXTS), swapped.encode(TEXTS))


def test_one_of_several_adapters_acts_at_a_time(stored: Callable[..., Path], load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    model, base = embedder.backbone.model, embedder.encode(TEXTS)
    folders = {"first": stored("one", 1), "second": stored("other", 2)}
    alone = {}
    for name, folder in folders.items():
        single = load(template="ccw", pooling="lasttoken")
        attach_adapter(single.backbone.model, folder)
        alone[name] = single.encode(TEXTS)
        with warnings.catch_warnings(action="error"):
            attach_adapter(model, folder, name)
    for name in ("first", "second", None, "first"):
        activate_adapter(model, name)
        np.testing.assert_allclose(embedder.encode(TEXTS), alone[name] if name else base, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_plain_adapters_may_share_a_model(stored: Callable[..., Path], tmp_path: Path) -> None:
    folder = stored("one", 1)
    assert can_share(folder)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps({**settings, "alora_invocation_tokens": [1], "task_type": "CAUSAL_LM"})
    )
    assert not can_share(folder), "it acts on some tokens only"
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    weights = load_file(folder / "adapter_model.safetensors")
    for stray in ("base_model.model.model.layers.0.q_proj.lora_A.weight", "base_model.model.norm.weight"):
        save_file({**weights, stray: torch.ones(1)}, folder / "adapter_model.safetensors")
        assert not can_share(folder), stray
    (folder / "adapter_model.safetensors").write_text("damaged")
    assert not can_share(folder)
    (tmp_path / "gone").mkdir()
    assert not can_share(tmp_path / "gone")


def test_missing_files_are_named(
    stored: Callable[..., Path], load: Load, refused: Callable[..., str]
) -> None:
    folder, model = stored("one", 1), load().backbone.model
    (folder / "adapter_model.safetensors").unlink()
    assert refused(MissingFileError, attach_adapter, model, folder) == (
        f"no file {folder / 'adapter_model.safetensors'}: give a folder that peft or lastword wrote an adapter to"
    )
    (folder / "adapter_config.json").unlink()
    assert refused(MissingFileError, adapter_settings, folder) == (
        f"no file {folder / 'adapter_config.json'}: give a folder that peft or lastword wrote an adapter to"
    )


def test_a_broken_file_of_weights_is_an_error(
    stored: Callable[..., Path], load: Load, refused: Callable[..., str]
) -> None:
    folder = stored("one", 1)
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    said = refused(WorkError, attach_adapter, load().backbone.model, folder)
    assert said.startswith(f"{path} is damaged: ")
    assert "\n" not in said


def test_a_matrix_of_another_shape_is_not_stretched(
    stored: Callable[..., Path], load: Load, refused: Callable[..., str]
) -> None:
    folder = stored("one", 1)
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    key = sorted(weights)[0]
    shape = tuple(weights[key].shape)
    save_file({**weights, key: weights[key][:1].contiguous()}, path)
    assert refused(WorkError, attach_adapter, load().backbone.model, folder) == (
        f"{path} does not fit: {key} is {(1, *shape[1:])}, not {shape}"
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"r": 4}'])
def test_broken_settings_are_an_error(content: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    said = refused(ModelError, adapter_settings, tmp_path)
    assert said.startswith(f"{tmp_path / 'adapter_config.json'} is ")


def test_another_kind_of_adapter_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    peft.IA3Config(target_modules=["q_proj"], feedforward_modules=[]).save_pretrained(tmp_path)
    said = refused(ModelError, adapter_settings, tmp_path)
    assert said.startswith(f"{tmp_path / 'adapter_config.json'} is an adapter of kind ")
    assert said.endswith("IA3: lastword reads LORA")


def test_an_adapter_for_another_model_is_refused(
    stored: Callable[..., Path], load: Load, refused: Callable[..., str]
) -> None:
    folder = stored("one", 1)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "target_modules": ["c_attn"]}))
    said = refused(ModelError, attach_adapter, load().backbone.model, folder)
    assert said.startswith(f"{folder / 'adapter_config.json'} does not fit the model: ")
