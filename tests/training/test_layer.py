"""A model that is cut after a layer: the same vectors, fewer weights, trained and written without the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.training import LastStep, train

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEXTS = ["the river was low", "a car", "she sold the house and left " * 8]


@pytest.mark.parametrize("kind", ["llama_folder", "qwen_folder", "gpt2_folder"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("pooling", ["lasttoken", "mean"])
def test_a_cut_model_gives_the_vectors_of_its_layer(
    load: Load, request: pytest.FixtureRequest, kind: str, fused: bool, pooling: str
) -> None:
    folder = request.getfixturevalue(kind)
    whole = load(folder, template="ccw", pooling=pooling, layer=1, fused=fused)
    expected, parameters = whole.encode(TEXTS), sum(p.numel() for p in whole.backbone.model.parameters())
    cut = whole.cut()
    assert np.abs(cut.encode(TEXTS) - expected).max() <= 1e-5
    assert (cut.backbone.layers, cut.spec.layer, cut.backbone.path) == (1, None, whole.backbone.path)
    assert sum(p.numel() for p in cut.backbone.model.parameters()) < 0.8 * parameters
    assert cut.cut() is cut
    assert cut.spec.template == whole.spec.template


@pytest.mark.parametrize("kind", ["llama_folder", "qwen_folder"])
def test_a_run_trains_and_writes_the_first_layers_alone(
    tmp_path: Path, settings: dict[str, Any], request: pytest.FixtureRequest, kind: str
) -> None:
    base = request.getfixturevalue(kind)
    whole = train(tmp_path / "whole", **{**settings, "model": str(base), "steps": 2})
    result = train(tmp_path / "out", layer=1, **{**settings, "model": str(base)})
    assert np.mean(result.losses[-3:]) < 0.8 * result.losses[0]
    assert result.plan.trainable == whole.plan.trainable / 2
    assert result.plan.frozen < whole.plan.frozen
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["num_hidden_layers"] == 1
    assert len(config.get("layer_types") or ["one"]) == 1
    assert not any("layers.1." in name for name in load_file(tmp_path / "out" / "model.safetensors"))
    card = json.loads((tmp_path / "out" / "lastword.json").read_text())
    assert (card["layer"], card["recipe"]["layer"]) == (1, 1)
    assert card["base_hash"] == json.loads((tmp_path / "whole" / "lastword.json").read_text())["base_hash"]
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    ours = Embedder.from_pretrained(tmp_path / "out", dtype="float32", device="cpu").encode(TEXTS)
    assert np.abs(ours - theirs).max() <= 1e-5


def test_training_begins_with_the_vectors_of_the_layer(
    tmp_path: Path, settings: dict[str, Any], load: Load
) -> None:
    settings = {**settings, "steps": 1, "learning_rate": 1e-9, "scorer": LastStep()}
    train(tmp_path / "out", layer=1, **settings)
    expected = load(template="ccw", pooling="lasttoken", layer=1).encode(TEXTS)
    assert np.abs(load(tmp_path / "out").encode(TEXTS) - expected).max() <= 1e-5


def test_an_interrupted_run_resumes_with_the_same_layers(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    settings = {**settings, "layer": 1, "steps": 12, "scorer": LastStep()}
    train(tmp_path / "whole", **settings)
    save = Embedder.save
    monkeypatch.setattr(Embedder, "save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", **settings)
    monkeypatch.setattr(Embedder, "save", save)
    message = refused(RequestError, train, tmp_path / "out", resume=True, **{**settings, "layer": 2})
    assert message.startswith("resume=True: layer was 1 and is now 2")
    train(tmp_path / "out", resume=True, **settings)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_all_layers_and_too_many(tmp_path: Path, settings: dict[str, Any], refused: Refused) -> None:
    assert refused(RequestError, train, tmp_path / "out", layer=3, **settings) == (
        f"layer=3: {settings['model']} has 2 layers, that is hidden states 0 … 2"
    )
    assert not list(tmp_path.glob("out*"))
    train(tmp_path / "out", layer=2, **{**settings, "steps": 1})
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 2


def test_a_cut_quantized_model(tmp_path: Path, settings: dict[str, Any]) -> None:
    pytest.importorskip("bitsandbytes")
    result = train(tmp_path / "out", layer=1, quantize="nf4", **{**settings, "steps": 3})
    assert np.isfinite(result.losses).all()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 1
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    ours = Embedder.from_pretrained(tmp_path / "out", dtype="float32", device="cpu").encode(TEXTS)
    assert np.abs(ours - theirs).max() <= 1e-5
