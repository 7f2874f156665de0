"""Many texts go through in windows, and nothing about a vector tells which."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lastword.embedding import Embedder, encoding
from lastword.errors import RequestError

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
