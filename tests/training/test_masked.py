"""Masked next-token training: the loss, what it teaches, and runs that are killed in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from lastword.config import TrainConfig, train_config
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, ModelError, RequestError
from lastword.training import LastStep, train
from lastword.training import loop as loops
from lastword.training.masked import MaskedObjective, MaskedStep, MaskedTexts, mask_token

Settings = dict[str, Any]
Refused = Callable[..., str]
Load = Callable[..., Embedder]
TEXTS = ["the river was near the house at 3", "a cat", "near the car, at 7, there was a dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, llama_folder: Path) -> Path:
    """The tiny Llama with an output head."""
    folder = tmp_path_factory.mktemp("headed") / "model"
    shutil.copytree(llama_folder, folder)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, tie_word_embeddings=True))
    model.model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def masked(settings: Settings, folder: Path) -> Settings:
    return settings | {
        "model": str(folder), "attention": "bidirectional", "pooling": "mean", "scorer": LastStep(),
        "masked_steps": 12, "steps": 4, "dropout": 0.0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def texts(folder: Path) -> MaskedTexts:
    embedder = Embedder.from_pretrained(
        folder, template="eol", pooling="lasttoken", attention="bidirectional", dtype="float32", device="cpu"
    )
    return MaskedTexts.of(embedder, embedder.pipeline, 0.5)


def test_each_masked_token_is_predicted_from_the_state_before_it(texts: MaskedTexts, folder: Path) -> None:
    pipeline = texts.pipeline
    (batch,) = pipeline.batches(pipeline.tokenize(TEXTS))
    torch.manual_seed(3)
    rows = texts.vectors(batch)
    torch.manual_seed(3)
    drawn = (torch.rand(batch.input_ids.shape) < 0.5) & batch.text_mask
    drawn[:, 0] = False
    assert rows[:, 1].tolist() == drawn.sum(1).tolist()
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    model.config.is_causal = False
    for row, length in enumerate(batch.lengths):
        ids, chosen = batch.input_ids[row, :length], drawn[row, :length]
        with torch.no_grad():
            logits = model(ids.masked_fill(chosen, texts.mask_id)[None]).logits[0].log_softmax(-1)
        expected = -sum(float(logits[i - 1, ids[i]]) for i in chosen.nonzero().flatten().tolist())
        assert rows[row, 0].item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_template_and_pooling_change_no_loss(folder: Path, load: Load) -> None:
    """The tokens of the text alone are read, whatever the vectors of the pairs are made of."""
    model = load(folder, attention="bidirectional")

    def losses(template: str, pooling: str) -> torch.Tensor:
        embedder = model.variant(template=template, pooling=pooling)
        texts = MaskedTexts.of(embedder, embedder.pipeline, 0.5)
        (batch,) = texts.pipeline.batches(texts.pipeline.tokenize(TEXTS))
        torch.manual_seed(0)
        with torch.no_grad():
            return texts.vectors(batch)

    bare = losses("none", "mean")
    for template, pooling in (("eol", "lasttoken"), ("none", "eos"), ("none", "mean+max")):
        assert torch.equal(losses(template, pooling), bare), (template, pooling)


def test_later_tokens_are_seen(texts: MaskedTexts) -> None:
    """A mask is predicted otherwise when a later token changes, though the state is before the mask."""

    def loss(text: str) -> float:
        (batch,) = texts.pipeline.batches(texts.pipeline.tokenize([text]))
        torch.manual_seed(1)
        with torch.no_grad():
            return float(texts.vectors(batch)[0, 0])

    assert loss("the river was near the house at 3") != pytest.approx(
        loss("the river was near the house at 4")
    )


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 9)), min_size=1, max_size=5))
def test_the_loss_of_a_step_is_that_of_a_token(rows: list[tuple[float, int]]) -> None:
    vectors = torch.tensor(rows, dtype=torch.float32)
    tokens = sum(count for _, count in rows)
    expected = sum(loss for loss, _ in rows) / max(1, tokens)
    assert MaskedStep([]).loss_of(vectors).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_texts_of_a_step() -> None:
    objective = MaskedObjective([f"text {i}" for i in range(10)], TrainConfig(batch_pairs=5))
    assert len(objective) == 10
    seen = [text for number in (0, 1) for text in objective.step(number).texts]
    assert sorted(seen) == sorted(objective.texts)
    assert objective.step(1).texts == objective.step(1).texts


def test_a_row_without_a_masked_token_counts_nothing(texts: MaskedTexts) -> None:
    none = MaskedTexts(texts.pipeline, texts.head, texts.mask_id, 0.0)
    (batch,) = texts.pipeline.batches(texts.pipeline.tokenize(TEXTS))
    rows = none.vectors(batch)
    assert not rows.any()
    assert MaskedStep(TEXTS).loss_of(rows).item() == 0


def test_the_mask_token(texts: MaskedTexts, tmp_path: Path, folder: Path, load: Load) -> None:
    tokenizer = texts.pipeline.tokenizer
    assert [mask_token(tokenizer)] == tokenizer.text_ids(["_"])[0]
    shutil.copytree(folder, tmp_path / "several")
    file = tmp_path / "several" / "tokenizer.json"
    several = {"type": "Replace", "pattern": {"String": "_"}, "content": "_ _"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": several}))
    other = load(tmp_path / "several").pipeline.tokenizer
    assert len(other.text_ids(["_"])[0]) > 1
    assert mask_token(other) == other.pad_id
    hf = tokenizer.hf
    hf.mask_token = hf.convert_ids_to_tokens(5)
    try:
        assert mask_token(tokenizer) == 5
    finally:
        hf.mask_token = None


def test_a_run_learns_to_predict_before_it_learns_the_pairs(tmp_path: Path, masked: Settings) -> None:
    result = train(tmp_path / "out", **masked)
    assert len(result.losses) == 4, "those of the pairs alone"
    plain = train(tmp_path / "plain", **masked | {"masked_steps": 0})
    assert plain.losses[0] != pytest.approx(result.losses[0], rel=1e-4)
    assert not list((tmp_path / "out" / "training").rglob("masked*"))
    recipe = json.loads((tmp_path / "out" / "training" / "recipe.json").read_text())
    assert (recipe["masked_steps"], recipe["masked_share"]) == (12, 0.2)


def test_a_run_that_is_killed_in_it_goes_on(
    tmp_path: Path, masked: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "whole", **masked)
    step, losses = loops.Loop.step, list[tuple[str, int]]()

    def killed(self: loops.Loop, number: int) -> dict[str, Any]:
        if (self.stage, number) in (("masked ", 11), ("", 2)) and (self.stage, number) not in losses:
            losses.append((self.stage, number))
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(loops.Loop, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", **masked)
    log = tmp_path / "out.partial" / "checkpoints" / "masked" / "log.jsonl"
    assert len(log.read_text().splitlines()) == 11
    with pytest.raises(ExistingOutputError, match="has an interrupted run"):
        train(tmp_path / "out", **masked)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", resume=True, **masked)
    masks = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["step"] for row in masks] == list(range(1, 13))
    assert np.mean([row["loss"] for row in masks[-3:]]) < np.mean([row["loss"] for row in masks[:3]])
    train(tmp_path / "out", resume=True, **masked)
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_settings_that_cannot_work(refused: Refused) -> None:
    message = refused(RequestError, train_config, {"masked_steps": 5})
    assert message.startswith(
        "masked_steps=5 teaches a model to see later tokens, which attention='causal' hides: "
    )
    message = refused(RequestError, train_config, {"masked_share": 0.5, "attention": "bidirectional"})
    assert message == "masked_share=0.5 needs masked_steps: give both, or leave it out"
    for values in ({"masked_share": 0.0}, {"masked_share": 0.95}, {"masked_steps": -1}):
        assert "it must be from" in refused(RequestError, train_config, values)


def test_a_model_without_an_output_head(
    tmp_path: Path, masked: Settings, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastword.training.masked.Vocabulary.of", lambda embedder: None)
    message = refused(ModelError, train, tmp_path / "out", **masked)
    assert message == (
        f"masked_steps: {masked['model']} has no output head, which predicts the masked tokens: use the base model, or "
        "leave masked_steps out"
    )
