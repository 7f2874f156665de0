"""Losses, widths and files of pairs as settings of whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from lastword.bundled import check_truncation
from lastword.corpus.embed import check_request
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.training import LastStep, train
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.selection import HeldOutGrades, HeldOutPairs, scores_of_widths
from tests.training.conftest import pair_columns

Settings = dict[str, Any]
Refused = Callable[..., str]


@pytest.fixture
def graded_file(tmp_path: Path) -> Path:
    """Pairs of the same meaning, and each anchor with another positive."""
    columns, n = pair_columns(60), 60
    others = columns["positive"][7:] + columns["positive"][:7]
    path = tmp_path / "graded.parquet"
    pq.write_table(
        pa.table(
            {
                "anchor": [*columns["anchor"], *(f"{text} again" for text in columns["anchor"])],
                "positive": [*columns["positive"], *others],
                "score": [5.0] * n + [i % 3 / 2 for i in range(n)],
            }
        ),
        path,
    )
    return path


@pytest.mark.parametrize("loss", ["cosent", "angle"])
def test_graded_pairs_are_learned(tmp_path: Path, settings: Settings, graded_file: Path, loss: str) -> None:
    settings |= {"pairs": [str(graded_file)], "loss": loss, "batch_pairs": 24, "steps": 20, "max_tokens": 32}
    result = train(tmp_path / "out", **settings)
    assert result.selection.criterion == "Spearman's correlation on 12 held-out graded pairs"
    assert result.selection.score > result.selection.scores[0].value
    assert np.mean(result.losses[-4:]) < np.mean(result.losses[:4])


def test_graded_pairs_that_were_changed_are_not_resumed_with(
    tmp_path: Path, settings: Settings, graded_file: Path
) -> None:
    columns = pq.read_table(graded_file)
    pairs = read_pairs([graded_file], graded=True)
    assert pairs.scores == columns["score"].to_pylist()
    other = Pairs(pairs.anchors, pairs.positives, pairs.negatives, [*pairs.scores[1:], 3.0], pairs.files)
    assert HeldOutGrades(pairs).inputs != HeldOutGrades(other).inputs


def test_scores_of_files_are_compared_within_each(load: Callable[..., Embedder]) -> None:
    """The scores of the second file are another scale: both orders are right, whatever they are together."""
    texts = ["a river", "a house", "the river", "a car", "cats", "a text", "dogs", "the house"]
    embedder = load(template="none", pooling="mean")
    vectors = embedder.encode(texts)
    cosines = (vectors[:4] * vectors[4:]).sum(1)
    for shift in (0.0, 100.0):
        scores = [float(c) + (shift if i > 1 else 0) for i, c in enumerate(cosines)]
        scorer = HeldOutGrades(Pairs(texts[:4], texts[4:], [[]] * 4, scores, [0, 0, 1, 1]))
        assert scorer(embedder).value == pytest.approx(1)


def test_widths_are_scored_stored_and_required_later(
    tmp_path: Path, settings: Settings, refused: Refused
) -> None:
    settings |= {"widths": [16, 8], "loss": "symmetric_info_nce", "steps": 10}
    pairs = read_pairs(settings["pairs"])
    result = train(tmp_path / "out", scorer=HeldOutPairs(pairs), **settings)
    embedder = Embedder.from_pretrained(tmp_path / "out")
    assert embedder.widths == (16, 8)
    assert list(result.widths) == [8, 16, embedder.dim]
    assert result.widths[embedder.dim].value == pytest.approx(result.selection.score)
    assert result.to_dict()["widths"] == {str(width): score.value for width, score in result.widths.items()}
    half = Pairs([*pairs.anchors], [*pairs.positives], [*pairs.negatives])
    assert scores_of_widths(HeldOutPairs(half), embedder, (8,))[8] == result.widths[8]
    assert scores_of_widths(LastStep(), embedder, (8,)) == {}

    texts = ["a river", "a house"]
    assert embedder.encode(texts, truncate_dim=8).shape == (2, 8)
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu", truncate_dim=8).encode(texts)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    assert np.allclose(embedder.encode(texts, truncate_dim=8), theirs, atol=1e-5)
    message = f"truncate_dim=9: the model was trained for vectors of 8, 16, {embedder.dim} dimensions; use one of these"
    assert refused(RequestError, embedder.encode, texts, truncate_dim=9) == message
    assert refused(RequestError, lambda: list(embedder.encode_stream(texts, truncate_dim=9))) == message
    assert refused(RequestError, check_truncation, tmp_path / "out", 9) == message
    assert refused(RequestError, check_truncation, f"sentence-transformers:{tmp_path / 'out'}", 9) == message
    request = (tmp_path / "out", "float32", "parquet", False, False)
    assert refused(RequestError, check_request, *request, 9) == message, "before the model is loaded"
    for width in (None, 8, 16, embedder.dim):
        check_request(*request, width)
    check_truncation("mini", 9)


def test_a_model_without_widths_is_truncated_anywhere(load: Callable[..., Embedder]) -> None:
    assert load().widths == ()
    assert load().encode(["a river"], truncate_dim=9).shape == (1, 9)


def test_files_with_their_own_steps_and_temperatures(
    tmp_path: Path, settings: Settings, pairs_file: Path
) -> None:
    columns = pair_columns(20)
    other = tmp_path / "other.parquet"
    pq.write_table(
        pa.table({name: [f"{text} too" for text in texts] for name, texts in columns.items()}), other
    )
    settings |= {
        "pairs": [str(pairs_file), str(other)], "mixing": "by_file", "temperatures": [0.05, 0.5], "steps": 6,
        "scorer": LastStep(),
    }  # fmt: skip
    result = train(tmp_path / "out", **settings)
    recipe = json.loads((tmp_path / "out" / "training" / "recipe.json").read_text())
    recipe = recipe.get("settings", recipe)
    assert (recipe["mixing"], recipe["temperatures"]) == ("by_file", [0.05, 0.5])
    assert len(result.losses) == 6
