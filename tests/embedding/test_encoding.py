"""Many texts go through in windows, and nothing about a vector tells which."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from lastword.embedding import Embedder, Pooling, encoding
from lastword.errors import DivergenceError, RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]


@pytest.mark.parametrize("window", [1, 3, 7])
def test_windows_change_nothing(window: int, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    texts = [
        f"{word} {i % 5}" for i in range(7) for word in ("a man is driving", "the river", "so it ends there")
    ]
    whole = embedder.encode(texts)
    monkeypatch.setattr(encoding, "WINDOW", window)
    np.testing.assert_allclose(embedder.encode(texts), whole, atol=1e-6)


def test_truncated_texts_are_counted_over_all_windows(
    load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoding, "WINDOW", 2)
    load(max_tokens=20).encode([f"{i} " + "a car " * 30 for i in range(5)] + ["short"])
    assert [record.message for record in caplog.records] == ["5 of 6 texts were truncated to 20 tokens"]


def test_an_error_names_the_row_as_given(
    load: Load, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "WINDOW", 2)
    embedder = load(bos=False)
    message = refused(RequestError, embedder.encode, ["a", "b", "a", "a", " ", "b"])
    assert message == "text 4 is empty and template 'none' adds no token to it"


def test_vectors_that_are_not_finite_are_counted_and_the_first_is_named(load: Load, refused: Refused) -> None:
    pipeline = load().pipeline
    vectors = torch.ones(3, 2)
    assert encoding.finite(pipeline, vectors, ["a", "b", "c"]).tolist() == [[1, 1]] * 3
    advice = "use dtype='float32', or another model or checkpoint"
    vectors[1, 0] = float("nan")
    message = refused(DivergenceError, encoding.finite, pipeline, vectors, ["a", "b" * 70, "c"])
    assert message == f"{pipeline.backbone.name} gives no finite vector for '{'b' * 60}': {advice}"
    vectors[2] = float("inf")
    message = refused(DivergenceError, encoding.finite, pipeline, vectors, ["a", "b", "c"])
    assert message == (
        f"{pipeline.backbone.name} gives no finite vector for 'b' and 1 more texts of the batch: {advice}"
    )


def test_progress_counts_a_text_once_however_many_passes_it_takes(load: Load) -> None:
    pipeline, advanced = load(attention="bidirectional").pipeline, []
    numbered = list(enumerate(["a", "b b", "c", "d"]))
    poolings = [Pooling("mean"), Pooling("eos")]
    assert len(pipeline.passes(poolings)) == 2
    list(encoding.stream_texts(pipeline, numbered, poolings, [2], None, advanced.append))
    assert sum(advanced) == 4


def test_each_distinct_text_is_embedded_once(load: Load) -> None:
    pipeline, advanced = load(max_tokens=4).pipeline, []
    poolings = [Pooling("mean"), Pooling("max", "text")]
    numbered = [(i, text) for i, text in enumerate(["a", "b b", "a"])]
    windows = list(encoding.stream_texts(pipeline, numbered, poolings, [1, 2], 4, advanced.append))
    assert [len(vectors) for vectors in windows[0].values()] == [3] * 4, "a stream keeps repeated texts"
    assert sum(advanced) == 3
    vectors = encoding.encode_texts(pipeline, ["a", "b b", "a"], poolings, [1, 2])
    assert vectors.keys() == {(layer, pooling) for layer in (1, 2) for pooling in ("mean", "max:text")}
    for point, rows in vectors.items():
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows[0], rows[2])
        np.testing.assert_allclose(rows, windows[0][point], atol=1e-5)
