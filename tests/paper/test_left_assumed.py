"""Left padding read from the left: which state is taken, against the states of each text alone."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword.embedding import Embedder
from lastword.evaluation import cluster_score, evaluate
from lastword.paper.as_published import scored_as_published
from tests.embedding.reference import hidden

pytestmark = pytest.mark.usefixtures("few_repetitions")

Load = Callable[..., Embedder]
SWITCH = ["padding=left-assumed"]
TEXTS = [f"the {'river of ' * (i % 5)}house {i}" for i in range(40)]


@pytest.mark.parametrize("pooling", ["lasttoken", "eos"])
def test_the_state_is_as_many_tokens_early_as_there_is_padding(load: Load, pooling: str) -> None:
    embedder = load(template="ccw", pooling=pooling, normalize=False)
    vectors = scored_as_published(embedder, SWITCH).encode(TEXTS)
    rows = embedder.pipeline.tokenize(TEXTS).ids
    right, early = 0, 0
    for start in (0, 32):
        width = max(map(len, rows[start : start + 32]))
        for i in range(start, min(start + 32, len(rows))):
            position = len(rows[i]) - 1 - (width - len(rows[i]))
            assert position >= 0, "these texts differ by less than their length"
            batch = next(embedder.pipeline.batches(embedder.pipeline.tokenize([TEXTS[i]])))
            state = hidden(embedder.backbone, batch)[0, position].detach().float().numpy()
            assert np.allclose(vectors[i], state, atol=2e-4), i
            right, early = right + (position == len(rows[i]) - 1), early + (position < len(rows[i]) - 1)
    assert right > 0
    assert early > 0
    assert vectors.dtype == np.float32


def test_texts_of_one_length_are_right(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    candidates = [f"the car {letter}" for letter in "bcdfghjklm"]
    lengths = [len(ids) for ids in embedder.pipeline.tokenize(candidates).ids]
    texts = [text for text, n in zip(candidates, lengths, strict=True) if n == max(lengths)]
    assert len(texts) > 1
    assert len({len(ids) for ids in embedder.pipeline.tokenize(texts).ids}) == 1
    assert np.allclose(scored_as_published(embedder, SWITCH).encode(texts), embedder.encode(texts), atol=1e-5)


def test_a_short_text_gets_the_state_of_padding(load: Load) -> None:
    embedder = load(template="none", pooling="lasttoken")
    left = scored_as_published(embedder, SWITCH)
    beside_long = left.encode(["a car", "the river was low and " * 8])[0]
    assert np.isfinite(beside_long).all()
    assert not np.allclose(beside_long, left.encode(["a car"])[0], atol=1e-3), "its batch mate changes it"
    assert left.identity != embedder.identity


def test_no_texts_have_no_vectors(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    assert scored_as_published(embedder, SWITCH).encode([]).shape == (0, embedder.dim)


@pytest.mark.parametrize("spec", [{"layer": 1}, {"norm": "pre"}, {"attention": "bidirectional"}], ids=str)
def test_the_states_are_those_that_the_model_pools(load: Load, spec: dict[str, Any]) -> None:
    embedder = load(template="ccw", pooling="lasttoken", **spec)
    left = scored_as_published(embedder, SWITCH)
    for text in TEXTS[:3]:  # alone, so without padding
        np.testing.assert_allclose(left.encode([text]), embedder.encode([text]), atol=1e-5)


def test_means_and_other_switches_leave_the_embedder_alone(load: Load) -> None:
    for pooling, switches in (("mean", SWITCH), ("lasttoken", ["negatives=micro"]), ("lasttoken", [])):
        embedder = load(template="ccw", pooling=pooling)
        assert scored_as_published(embedder, switches) is embedder


def test_evaluate_scores_so(tmp_path: Path, llama_folder: Path, load: Load) -> None:
    path = tmp_path / "labelled.csv"
    labels = [str(i % 4) for i in range(len(TEXTS))]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(TEXTS, labels, strict=True)])
    how = {"template": "ccw", "pooling": "lasttoken", "dtype": "float32", "device": "cpu"}
    plain = evaluate(llama_folder, path, **how).models[0]  # type: ignore[arg-type]
    left = scored_as_published(load(template="ccw", pooling="lasttoken"), SWITCH)
    moved = evaluate(left, path, cache=tmp_path / "cache").models[0]
    assert not (tmp_path / "cache").exists(), "vectors that depend on their batch are not cached"
    assert moved.score == cluster_score(left, TEXTS, labels)
    assert moved.score != plain.score
    assert (moved.model, moved.template) == (plain.model, plain.template)
