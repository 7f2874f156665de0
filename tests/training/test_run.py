"""The parts of a training run, each on its own: what is read, loaded, set up and written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from lastword.config import TrainConfig
from lastword.embedding.card import Provenance
from lastword.embedding.latent_pooling import LatentPooling
from lastword.errors import RequestError, TableError
from lastword.training import LastStep, Standard, train
from lastword.training import run as module
from lastword.training.adapter import add_adapter, save_adapter
from lastword.training.plan import Plan
from lastword.training.run import (
    TrainResult,
    _attention,
    _finished,
    _log,
    _lower_layers,
    _RunFolder,
    _score_base,
    load_base,
    make_accelerator,
)
from lastword.training.selection import CheckpointScores, Selection
from lastword.uncertainty import Score
from tests.training.conftest import made_score

Refused = Callable[..., str]
Settings = dict[str, Any]
SELECTION = Selection("last step", 2, {})


def test_a_result_as_plain_values() -> None:
    plan = Plan(1, 2, 3, 4, 64, 0.5, 6, 1.0, 8.0, 0.0, 10.0)
    values = TrainResult(Path("some") / "folder", SELECTION, [0.5, 0.25], plan, 12.34).to_dict()
    assert values["output"] == str(Path("some") / "folder")
    assert (values["losses"], values["seconds"]) == ([0.5, 0.25], 12.3)
    assert values["selection"] == SELECTION.to_dict()
    assert (values["plan"]["trainable"], values["plan"]["seconds"]) == (1, 10.0)


def test_pairs_with_an_empty_side_are_refused_unless_they_are_to_be_dropped(
    tmp_path: Path, settings: Settings, refused: Refused
) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text("anchor,positive\na car,\n" + "".join(f"text {i},a text {i}\n" for i in range(9)))
    settings = {**settings, "pairs": [str(file)]}
    assert "drop_empty" in refused(TableError, train, tmp_path / "out", **settings)


def test_trackers_are_named_where_one_is_unknown(
    tmp_path: Path, settings: Settings, refused: Refused
) -> None:
    message = refused(RequestError, train, tmp_path / "out", **{**settings, "trackers": "clearml"})
    assert message.startswith(
        "trackers='clearml' is not installed, or unknown to accelerate; usable: none, all"
    )


def test_a_run_is_called_lastword_in_trackers(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(Accelerator, "init_trackers", lambda self, name: names.append(name))
    train(tmp_path / "out", scorer=LastStep(), **{**settings, "steps": 1})
    assert names == ["lastword"]


@pytest.mark.parametrize(("dtype", "precision"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_the_base_model_is_loaded_without_the_layers_above_the_pooled_one(
    dtype: str, precision: torch.dtype, llama_folder: Path
) -> None:
    config = TrainConfig(model=str(llama_folder), template="sum", pooling="mean", layer=1, dtype=dtype)
    embedder = load_base(config, "cpu")
    assert (embedder.backbone.dtype, embedder.backbone.layers) == (precision, 1)
    assert (embedder.spec.template.name, embedder.spec.pooling.spec) == ("sum", "mean")
    whole = load_base(replace(config, layer=None, attention="bidirectional"), "cpu")
    assert (embedder.backbone.attends, whole.backbone.attends) == ("causal", "bidirectional")
    assert embedder.provenance.base_hash == whole.provenance.base_hash == whole.backbone.weights_hash


def test_a_pooling_with_weights_begins_as_the_seed_says(llama_folder: Path) -> None:
    config = TrainConfig(model=str(llama_folder), pooling="latent", dtype="float32", seed=5)
    embedder = load_base(config, "cpu")
    assert embedder.spec.pooling.spec == "latent"
    begun = LatentPooling(embedder.backbone.dim, seed=5).queries
    assert torch.equal(embedder.backbone.model.latent_pooling.queries, begun)


class FakeAccelerator:
    processes = 1

    def __init__(self, **settings: Any) -> None:
        self.settings, self.num_processes, self.device = settings, self.processes, "cuda:1"


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("processes", [None, "1", "2"])
def test_accelerate_gets_device_precision_and_trackers(
    installed: bool, processes: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    resets: list[bool] = []
    monkeypatch.setattr(module, "Accelerator", FakeAccelerator)
    monkeypatch.setattr(module, "set_seed", seeds.append)
    monkeypatch.setattr(
        AcceleratorState, "_reset_state", lambda reset_partial_state: resets.append(reset_partial_state)
    )
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: installed and name == "tensorboard")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if processes:
        monkeypatch.setenv("WORLD_SIZE", processes)

    def made(trackers: str | None, dtype: torch.dtype, device: str) -> dict[str, Any]:
        backbone = SimpleNamespace(dtype=dtype, device=torch.device(device))
        embedder: Any = SimpleNamespace(backbone=backbone)
        accelerator: Any = make_accelerator(TrainConfig(seed=7), embedder, trackers, tmp_path)
        settings: dict[str, Any] = accelerator.settings
        return settings

    assert made(None, torch.bfloat16, "cpu") == {
        "mixed_precision": "bf16", "cpu": True, "project_dir": tmp_path,
        "log_with": "tensorboard" if installed else None,
    }  # fmt: skip
    assert made("none", torch.float32, "cuda") == {
        "mixed_precision": "no", "cpu": False, "project_dir": tmp_path, "log_with": None,
    }  # fmt: skip
    assert made("wandb", torch.float32, "cpu")["log_with"] == "wandb"
    assert seeds == [7] * 3
    assert resets == ([] if processes == "2" else [True] * 3)


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_each_of_several_processes_has_the_model_on_its_device(
    quantize: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quantised weights cannot be moved."""
    devices: list[str] = []
    monkeypatch.setattr(module, "Accelerator", FakeAccelerator)
    monkeypatch.setattr(module, "set_seed", lambda seed: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(FakeAccelerator, "processes", 2)
    backbone = SimpleNamespace(
        dtype=torch.float32, device=torch.device("cpu"), model=SimpleNamespace(to=devices.append)
    )
    embedder: Any = SimpleNamespace(backbone=backbone)
    make_accelerator(TrainConfig(quantize=quantize), embedder, "none", tmp_path)
    assert devices == ([] if quantize else ["cuda:1"])


def test_the_record_of_a_run_is_in_the_folder_of_the_model(tmp_path: Path) -> None:
    class Model:
        provenance = Provenance("base", base_hash="0")

        def save(self, folder: Path, *, overwrite: bool) -> Path:
            assert overwrite
            folder.mkdir()
            return folder

    folder, model = _RunFolder(tmp_path / "out", resume=False, overwrite=False), Model()
    with folder.lock():
        folder.prepare({"steps": 2}, {})
        step = folder.checkpoints / "step-000002"
        step.mkdir()
        for name in ("adapter_model.safetensors", module.OPTIMIZER):
            (step / name).write_text(name)
        (folder.checkpoints / "guide-000000.npz").write_text("vectors")
        (folder.checkpoints / "masked").mkdir()
        (folder.checkpoints / "masked" / "log.jsonl").write_text("steps")
        (folder.trackers / "lastword").mkdir(parents=True)
        (folder.trackers / "lastword" / "events").write_text("events")
        folder.write(model, {"rank": 4}, SELECTION)  # type: ignore[arg-type]
    assert model.provenance == Provenance(
        "base", base_hash="0", recipe={"rank": 4}, selection=SELECTION.to_dict()
    )
    record = tmp_path / "out" / "training"
    files = {str(path.relative_to(record)) for path in record.rglob("*") if path.is_file()}
    assert files == {
        "choice.json", "recipe.json", "step-000002/adapter_model.safetensors", "trackers/lastword/events",
    }  # fmt: skip
    assert json.loads((record / "choice.json").read_text()) == SELECTION.to_dict()
    assert not folder.partial.exists()


@pytest.mark.parametrize(("device", "attention"), [("cpu", "eager"), ("cuda", "sdpa")])
def test_attention_while_training(device: str, attention: str) -> None:
    backbone = SimpleNamespace(device=torch.device(device), implementation="sdpa")
    assert _attention(SimpleNamespace(backbone=backbone)) == attention  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("steps", "noise", "limit", "keep_at"), [(2, (), 0, 1), (3, (), 250, 1), (3, ("delete",), 250, 2)]
)
def test_states_below_the_adapted_layers_are_kept_where_texts_come_again(
    steps: int,
    noise: tuple[str, ...],
    limit: float,
    keep_at: int,
    llama_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda device: 1000)
    config = TrainConfig(
        model=str(llama_folder), adapt_layers=1, steps=steps, batch_pairs=4, noise=noise, dtype="bfloat16"
    )
    backbone = load_base(config, "cpu").backbone
    lower: Any = _lower_layers(config, backbone, 8)
    assert (lower.path, lower.layer, lower.limit_bytes) == (backbone.fused, 1, limit)
    assert (lower.bytes_per_token, lower.keep_at) == (64, keep_at)
    assert _lower_layers(replace(config, adapt_layers=2), backbone, 8) is None


def test_the_base_model_is_scored_once_in_a_series(tmp_path: Path) -> None:
    score = made_score(0.5)
    config = TrainConfig()

    def scored(
        base_scores: dict[str, Score], recipe: dict[str, Any], steps: tuple[int, ...] = ()
    ) -> list[int]:
        calls: list[int] = []

        def measure(scores: CheckpointScores, embedder: object, step: int) -> None:
            if step not in scores.by_step:
                calls.append(step)
                scores.by_step[step] = score

        scorer: Any = SimpleNamespace(criterion="made", inputs={})
        scores = CheckpointScores(scorer, None, tmp_path / "scores.json")
        checkpoints = SimpleNamespace(all=lambda: [(step, tmp_path) for step in steps])
        loop: Any = SimpleNamespace(config=config, checkpoints=checkpoints, score=measure)
        _score_base(loop, scores, None, base_scores, recipe)  # type: ignore[arg-type]
        return calls

    known: dict[str, Score] = {}
    assert scored(known, {"model": "mini", "steps": 1}) == [0]
    assert list(known.values()) == [score]
    assert scored(known, {"model": "mini", "steps": 2}) == [], "the same model"
    assert scored(known, {"model": "other", "steps": 2}) == [0]
    assert scored({}, {"model": "mini"}, steps=(10,)) == [], "an interrupted run"


@pytest.mark.parametrize(("gain", "helps"), [(0.3, True), (0.0, False)])
def test_training_that_did_not_help_is_reported(
    gain: float, helps: bool, caplog: pytest.LogCaptureFixture
) -> None:
    scores = {0: made_score(0.4, 0.01, 1), 10: made_score(0.4 + gain, 0.01, 2)}
    _log(Selection("made", 10, scores), TrainConfig())
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    message = "no gain by training is shown: made was 0.400 before and is 0.400 now (not distinguishable)"
    assert warnings == ([] if helps else [message])


def test_an_adapter_over_quantised_weights_is_placed_over_the_full_ones(
    llama_folder: Path, tmp_path: Path
) -> None:
    config = TrainConfig(model=str(llama_folder), rank=2, max_tokens=50, dtype="float32", quantize="nf4")
    loaded = load_base(config, "cpu")
    add_adapter(loaded.backbone.model, config)
    save_adapter(loaded.backbone.model, tmp_path, config)
    finished = _finished(loaded, Standard(), config, tmp_path)
    assert finished.backbone.model is not loaded.backbone.model
    assert (finished.provenance.adapter or {})["rank"] == 2
    assert not finished.backbone.model.training
