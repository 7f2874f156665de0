"""A checkpoint in the folder of its run embeds as the run's model does, whatever reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword import explain
from lastword.embedding import Embedder
from lastword.errors import ModelError
from lastword.exporting.formats import check_export
from lastword.merging import merge
from lastword.serving.models import ServedDecoder, load_models
from lastword.training import LastStep, train

Settings = dict[str, Any]
TEXTS = ["the river was near", "  a man is driving a car "]
RUNS: dict[str, Settings] = {
    "latent": {"pooling": "latent"},
    "bidirectional": {"attention": "bidirectional", "pooling": "mean"},
    "one layer": {"layer": 1},
    "echo": {"template": "echo", "pooling": "mean"},
    "concatenation": {"pooling": "mean+lasttoken", "widths": (40,)},
}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Path:
    short = {"steps": 2, "warmup_steps": 0, "scorer": LastStep()}
    train(tmp_path / "out", **settings | short | RUNS[request.param])
    return tmp_path / "out"


def vectors(model: str | Path) -> np.ndarray:
    return Embedder.from_pretrained(model, dtype="float32", device="cpu").encode(TEXTS)


def test_whatever_reads_it(run: Path, tmp_path: Path) -> None:
    step = run / "training" / "step-000002"
    expected = vectors(run)
    np.testing.assert_allclose(vectors(step), expected, atol=1e-5)
    merge([step, step], tmp_path / "merged")
    np.testing.assert_allclose(vectors(tmp_path / "merged"), expected, atol=1e-5)
    base = json.loads((run / "lastword.json").read_text())["base"]
    served = load_models({"base": base, "step": str(step)}, dtype="float32", device="cpu")["step"]
    assert isinstance(served, ServedDecoder)
    rows, _ = served.rows(TEXTS)
    found = served.vectors(rows, None)
    np.testing.assert_allclose(found / np.linalg.norm(found, axis=1, keepdims=True), expected, atol=1e-5)
    explained = explain(
        texts_file(tmp_path), [base, run], checkpoints=run, texts=TEXTS[:1], dtype="float32", device="cpu"
    )
    last, model = explained.models[-1], explained.models[1]
    assert last.step == 2
    np.testing.assert_allclose(last.shares.kinds, model.shares.kinds, atol=1e-5)
    assert last.geometry["mean_cosine"] == pytest.approx(model.geometry["mean_cosine"], abs=1e-5)


def texts_file(folder: Path) -> Path:
    (folder / "texts.txt").write_text("\n".join([*TEXTS, "the price of the house"]))
    return folder / "texts.txt"


def test_of_an_unfinished_run_as_the_recipe_says(run: Path, tmp_path: Path) -> None:
    partial = tmp_path / "other.partial"
    shutil.copytree(run / "training", partial / "checkpoints")
    shutil.move(partial / "checkpoints" / "recipe.json", partial)
    np.testing.assert_allclose(vectors(partial / "checkpoints" / "step-000002"), vectors(run), atol=1e-5)


def test_the_examples_of_a_template_are_those_of_the_run(tmp_path: Path, settings: Settings) -> None:
    shots = tmp_path / "shots.csv"
    shots.write_text("text,answer\nthe river,water\nthe price,money\n")
    template = f"eol@{shots}:1:3"
    train(tmp_path / "out", **settings | {"steps": 1, "template": template, "scorer": LastStep()})
    expected = vectors(tmp_path / "out")
    shots.unlink()
    np.testing.assert_allclose(vectors(tmp_path / "out/training/step-000001"), expected, atol=1e-5)


def test_what_a_run_trained_on_is_its_base(
    tmp_path: Path, settings: Settings, refused: Callable[..., str]
) -> None:
    short = settings | {"steps": 1, "scorer": LastStep()}
    train(tmp_path / "first", **short | {"pooling": "latent"})
    train(tmp_path / "second", **short | {"model": str(tmp_path / "first")})
    facts = json.loads((tmp_path / "second" / "lastword.json").read_text())
    assert facts["base"] == facts["recipe"]["model"] == str(tmp_path / "first")
    step = tmp_path / "second" / "training" / "step-000001"
    assert sorted(path.name for path in step.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    merge([tmp_path / "second", step], tmp_path / "merged", method="spherical")


def test_attention_that_an_adapter_cannot_say(
    tmp_path: Path, settings: Settings, refused: Callable[..., str]
) -> None:
    short = settings | {"steps": 1, "scorer": LastStep()}
    train(tmp_path / "out", **short | RUNS["bidirectional"])
    assert refused(ModelError, check_export, tmp_path / "out", "adapter") == (
        f"{tmp_path / 'out'} has bidirectional attention, which an adapter cannot tell its base model: use "
        "to='folder' or to='onnx'"
    )
