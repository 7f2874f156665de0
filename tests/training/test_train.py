"""Whole training runs on a tiny model: they learn, they resume exactly, they leave nothing half-done."""

from __future__ import annotations

import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from lastword.embedding import Embedder
from lastword.embedding.adapters import load_adapter
from lastword.embedding.pipeline import Pipeline
from lastword.errors import (
    DivergenceError,
    ExistingOutputError,
    MissingFileError,
    ModelError,
    ParityError,
    RequestError,
    TableError,
    WorkError,
)
from lastword.training import LastStep, TrainResult, train
from lastword.training.adapter import add_adapter, save_adapter
from lastword.uncertainty import Score
from tests.processes import before, run_killed
from tests.training.conftest import made_score, pair_columns

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, llama_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    pq.write_table(pa.table(pair_columns()), folder / "pairs.parquet")
    train(
        folder / "out", model=str(llama_folder), pairs=[str(folder / "pairs.parquet")], max_tokens=64, steps=12,
        batch_pairs=8, learning_rate=1e-2, warmup_steps=2, rank=4, alpha=8.0, dtype="float32", device="cpu",
        trackers="none",
    )  # fmt: skip
    return folder / "out"


def test_a_bidirectional_model_is_trained_and_stored_as_such(tmp_path: Path, settings: Settings) -> None:
    result = train(tmp_path / "out", **{**settings, "attention": "bidirectional", "pooling": "mean"})
    assert np.mean(result.losses[-3:]) < 0.8 * result.losses[0]
    embedder = Embedder.from_pretrained(tmp_path / "out", dtype="float32", device="cpu")
    assert (embedder.spec.attention, embedder.backbone.causal) == ("bidirectional", False)
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(["a car", "the river was low"])
    assert np.abs(embedder.encode(["a car", "the river was low"]) - theirs).max() <= 1e-5


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("pooling", "a standard model folder cannot express pooling 'mean:text'"),
        ("special tokens", "has no special token, and a standard folder needs one to pad with"),
        ("other ids", "the written folder disagrees with the model in memory: transformers, which reads"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_the_first_step(
    settings: Settings,
    llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
    reason: str,
) -> None:
    if problem == "pooling":
        settings["pooling"] = "mean:text"
    elif problem == "special tokens":
        base = shutil.copytree(llama_folder, tmp_path / "base")
        definition = json.loads((base / "tokenizer.json").read_text()) | {
            "added_tokens": [],
            "post_processor": None,
        }
        (base / "tokenizer.json").write_text(json.dumps(definition))
        (base / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
        )
        settings["model"] = str(base)
    else:
        monkeypatch.setattr(
            "lastword.embedding.folder.SAVED_CLASS", "Qwen2Tokenizer"
        )  # it drops the normalizer
    with pytest.raises((RequestError, ParityError), match=reason):
        train(tmp_path / "out", **settings)
    assert not list((tmp_path).glob("out*"))


def test_the_loss_falls(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "training" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert np.mean([line["loss"] for line in lines[-3:]]) < 0.7 * lines[0]["loss"]


def test_the_folder_is_standard_and_tells_where_it_is_from(trained: Path) -> None:
    texts = ["the car was near the river at 4", "word " * 300]
    theirs = SentenceTransformer(str(trained), device="cpu").encode(texts)
    ours = Embedder.from_pretrained(trained, dtype="float32", device="cpu").encode(texts)
    assert np.abs(ours - theirs).max() <= 1e-5
    card = json.loads((trained / "lastword.json").read_text())
    assert card["adapter"]["rank"] == 4
    assert card["recipe"]["steps"] == 12
    assert card["selection"]["step"] in (10, 12)
    assert card["selection"]["criterion"].startswith("last step")
    assert card["selection"]["score"] is None
    assert not list(trained.parent.glob("*.partial"))


def test_the_kept_checkpoint_is_what_was_merged(trained: Path, llama_folder: Path) -> None:
    import peft
    from transformers import AutoModel

    step = json.loads((trained / "lastword.json").read_text())["selection"]["step"]
    base = AutoModel.from_pretrained(llama_folder, dtype=torch.float32)
    with warnings.catch_warnings(action="ignore"):  # peft asks transformers something under an old name
        adapted = peft.PeftModel.from_pretrained(base, str(trained / "training" / f"step-{step:06d}"))
        merged = adapted.merge_and_unload()
    stored = load_file(trained / "model.safetensors")
    for name, weight in merged.state_dict().items():
        assert torch.allclose(stored[name], weight, atol=1e-6), name


def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path: Path, settings: Settings) -> None:
    settings = {**settings, "steps": 45, "dropout": 0.1, "noise": "delete"}
    train(tmp_path / "whole", **settings)
    out = tmp_path / "killed"
    run_killed(before("lastword.training.loop.Loop.step", 26), train, out, **settings)
    assert not out.exists()

    with pytest.raises(ExistingOutputError, match="has an interrupted run: pass resume=True"):
        train(out, **settings)
    with pytest.raises(RequestError, match=r"resume=True: temperature was 0.05 and is now 0.1"):
        train(out, resume=True, **{**settings, "temperature": 0.1})
    train(out, resume=True, **settings)
    for name in ("model.safetensors", "training/step-000045/adapter_model.safetensors"):
        whole, resumed = load_file(tmp_path / "whole" / name), load_file(out / name)
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name
    logs = [
        (folder / "training" / "log.jsonl").read_text().splitlines() for folder in (tmp_path / "whole", out)
    ]
    losses = [[(json.loads(line)["step"], json.loads(line)["loss"]) for line in log] for log in logs]
    assert losses[0] == losses[1]


class StepScore:
    """Scores the checkpoint of step 10 highest."""

    criterion = "likeness to step 10"
    inputs: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, embedder: Embedder) -> Score:
        self.calls += 1
        return made_score({1: 0.1, 2: 0.9, 3: 0.5}[self.calls], 0.01)


def values(result: TrainResult) -> dict[int, float]:
    return {step: score.value for step, score in result.selection.scores.items()}


def test_the_best_checkpoint_is_kept_not_the_last(tmp_path: Path, settings: Settings) -> None:
    result = train(tmp_path / "out", scorer=StepScore(), **settings)
    assert result.selection.step == 10
    assert values(result) == {0: 0.1, 10: 0.9, 12: 0.5}
    assert result.selection.gain
    assert result.selection.gain.verdict == "better"
    assert result.selection.stopped is None
    base = Embedder.from_pretrained(settings["model"], template="ccw", pooling="lasttoken", dtype="float32")
    from lastword.config import train_config

    add_adapter(base.backbone.model, train_config({"rank": 4, "alpha": 8.0}))
    load_adapter(base.backbone.model, tmp_path / "out" / "training" / "step-000010")
    base.backbone.model.eval()
    text = ["the dog was near the fox at 2"]
    kept = Embedder.from_pretrained(tmp_path / "out", dtype="float32").encode(text)
    assert np.abs(base.encode(text) - kept).max() <= 1e-5


def test_a_series_scores_its_common_beginning_once(tmp_path: Path, settings: Settings) -> None:
    class Counted(StepScore):
        def __call__(self, embedder: Embedder) -> Score:
            self.calls += 1
            return made_score(float(self.calls))

    scorer, base_scores = Counted(), dict[str, Score]()
    changes: list[Settings] = [{}, {"seed": 1, "temperature": 0.2}, {"template": "none"}]
    runs = [
        train(
            tmp_path / f"out-{i}",
            scorer=scorer,
            base_scores=base_scores,
            **{**settings, "steps": 1, **change},
        )
        for i, change in enumerate(changes)
    ]
    assert [values(run) for run in runs] == [{0: 1, 1: 2}, {0: 1, 1: 3}, {0: 4, 1: 5}]


def test_training_that_does_not_help_is_said(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Worse(StepScore):
        def __call__(self, embedder: Embedder) -> Score:
            self.calls += 1
            return made_score(1.0 / self.calls)

    with caplog.at_level(logging.WARNING, logger="lastword"):
        train(tmp_path / "out", scorer=Worse(), **settings)
    assert (
        "training made the model worse: likeness to step 10 was 1.000 before and is 0.500 now (worse)"
        in caplog.text
    )


def test_an_adapter_that_does_not_fit_is_an_error(tmp_path: Path, settings: Settings) -> None:
    from lastword.config import train_config

    embedder = Embedder.from_pretrained(settings["model"], dtype="float32")
    add_adapter(embedder.backbone.model, train_config({"rank": 4}))
    save_file({"strange": torch.zeros(2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(
        WorkError, match=r"adapter_model.safetensors does not fit: 1 matrices, the model has 24"
    ):
        load_adapter(embedder.backbone.model, tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(WorkError, match=r"adapter_model.safetensors is damaged: "):
        load_adapter(embedder.backbone.model, tmp_path)
    with pytest.raises(MissingFileError, match=r"no file .*nowhere/adapter_model.safetensors: "):
        load_adapter(embedder.backbone.model, tmp_path / "nowhere")


def test_an_adapter_of_another_rank_is_an_error(tmp_path: Path, settings: Settings) -> None:
    """A matrix of one row would be spread over all of them without a word."""
    from lastword.config import train_config

    small, large = (Embedder.from_pretrained(settings["model"], dtype="float32") for _ in range(2))
    add_adapter(small.backbone.model, train_config({"rank": 1}))
    add_adapter(large.backbone.model, train_config({"rank": 4}))
    save_adapter(small.backbone.model, tmp_path, train_config({"rank": 1}))
    with pytest.raises(WorkError, match=r" is \(.*1.*\), not \(.*4.*\)$"):
        load_adapter(large.backbone.model, tmp_path)


def test_divergence_names_the_step_and_the_texts(
    tmp_path: Path, settings: Settings, refused: Callable[..., str]
) -> None:
    """The base model has an infinite embedding for a token of some texts."""
    model = tmp_path / "model"
    shutil.copytree(settings["model"], model)
    token = Embedder.from_pretrained(model, bos=False).pipeline.tokenize(["29"]).ids[0][-1]
    weights = load_file(model / "model.safetensors")
    weights["model.embed_tokens.weight"][token] = float("inf")
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    settings |= {"model": str(model), "batch_pairs": 30, "scorer": LastStep()}
    message = refused(DivergenceError, train, tmp_path / "out", **settings)
    assert message.startswith("loss is nan at step 1 (6 texts gave no finite vector: 'the ")
    assert all("9" in text for text in re.findall("'(.+?)'", message))
    assert message.endswith("lower learning_rate or use dtype float32; the checkpoints so far are kept")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.partial" / "recipe.json").exists()


def test_the_plan_is_said_before_the_first_step(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="lastword"):
        result = train(tmp_path / "out", **{**settings, "max_tokens": 24})
    assert "7 negatives per anchor" in caplog.text
    assert result.plan.truncated_share > 0.5
    assert result.plan.trainable == sum(p.numel() for p in load_file(
        tmp_path / "out" / "training" / "step-000010" / "adapter_model.safetensors").values())  # fmt: skip


def test_existing_output_is_refused_before_any_work(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "out").mkdir()
    for name in ("lastword.json", "mine"):
        (tmp_path / "out" / name).write_text("keep")
    with pytest.raises(ExistingOutputError, match=r"out exists: choose another path or pass overwrite=True"):
        train(tmp_path / "out", **settings)
    assert (tmp_path / "out" / "mine").read_text() == "keep"
    train(tmp_path / "out", overwrite=True, **settings)
    assert not (tmp_path / "out" / "mine").exists()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_one_process_trains_in_one_precision_after_the_other(
    tmp_path: Path, settings: Settings, dtype: str
) -> None:
    result = train(tmp_path / "out", **{**settings, "dtype": dtype, "steps": 3})
    assert np.isfinite(result.losses).all()


def test_fewer_pairs_than_two(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"anchor": "a", "positive": "b"}\n')
    with pytest.raises(
        TableError, match=r"one\.jsonl: 1 pair; contrastive training needs at least 2, better 1,000"
    ):
        train(tmp_path / "out", **{**settings, "pairs": [str(path)]})


def test_projections_that_are_not_there(tmp_path: Path, settings: Settings, gpt2_folder: Path) -> None:
    with pytest.raises(
        ModelError, match=r"has none of the projections gate; its linear layers are: c_attn, c_fc, c_proj$"
    ):
        train(tmp_path / "out", **{**settings, "model": str(gpt2_folder), "projections": ["gate"]})


def test_hard_negatives_are_used(tmp_path: Path, settings: Settings) -> None:
    columns = {**pair_columns(), "negative": ["", "a hard one", *[""] * 28]}
    path = tmp_path / "hard.parquet"
    pq.write_table(pa.table(columns), path)
    result = train(tmp_path / "out", **{**settings, "pairs": [str(path)], "batch_pairs": 30, "steps": 2})
    assert result.plan.negatives_per_anchor == 30


def test_out_of_memory_halves_the_token_budget_once(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A part of more than 200 tokens really asks for more memory than there is."""
    vectors = Pipeline.vectors

    def greedy(self: Pipeline, batch: Any) -> Any:
        if batch.input_ids.numel() > limit and not torch.is_inference_mode_enabled():
            torch.empty(2**55)
        return vectors(self, batch)

    limit = 10**9
    monkeypatch.setattr(Pipeline, "vectors", greedy)
    plain = train(tmp_path / "plain", **{**settings, "batch_tokens": 400, "steps": 3, "dropout": 0.0})
    limit = 200
    with caplog.at_level(logging.WARNING, logger="lastword"):
        short = train(tmp_path / "short", **{**settings, "batch_tokens": 400, "steps": 3, "dropout": 0.0})
    assert caplog.text.count("out of memory: continuing with batch_tokens=200 and GradCache") == 1
    assert short.losses == pytest.approx(plain.losses, abs=1e-4)
    limit = 20
    with pytest.raises(RuntimeError, match="allocate memory"):
        train(tmp_path / "none", **{**settings, "batch_tokens": 400, "steps": 3, "dropout": 0.0})
