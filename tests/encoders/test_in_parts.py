"""Vectors in parts: the same as in one piece, and not computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lastword.encoders.in_parts import WINDOW, InParts, encoded


class Counting:
    """A text's vector is its number; counts the texts."""

    identity = "counting"

    def __init__(self, most: int = 10**6) -> None:
        self.most, self.texts = most, 0

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        if self.texts + len(texts) > self.most:
            raise KeyboardInterrupt
        self.texts += len(texts)
        return np.array([[float(text), 1] for text in texts])


@pytest.mark.parametrize("n", [1, WINDOW, WINDOW + 1, 2 * WINDOW + 3])
def test_the_vectors_of_all_parts_in_order(tmp_path: Path, n: int) -> None:
    texts = [str(number) for number in range(n)]
    vectors, seconds = encoded(Counting(), texts, "texts", tmp_path)
    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == list(range(n))
    assert seconds > 0
    assert len(list(tmp_path.glob("texts-*.npz"))) == -(-n // WINDOW)


def test_an_interrupted_run_computes_the_rest(tmp_path: Path) -> None:
    texts = [str(number) for number in range(3 * WINDOW)]
    with pytest.raises(KeyboardInterrupt):
        encoded(Counting(2 * WINDOW), texts, "texts", tmp_path)
    encoder = Counting()
    vectors, _ = encoded(encoder, texts, "texts", tmp_path)
    assert encoder.texts == WINDOW
    assert vectors[:, 0].tolist() == list(range(3 * WINDOW))
    assert {file.suffix for file in tmp_path.iterdir()} == {".npz"}
    encoded(encoder, texts[:5], "others", tmp_path)
    assert encoder.texts == WINDOW + 5, "other names have parts of their own"


def test_an_encoder_that_keeps_its_vectors(tmp_path: Path) -> None:
    """Another list of texts has files of its own."""
    texts = [str(number) for number in range(2 * WINDOW)]
    with pytest.raises(KeyboardInterrupt):
        InParts(Counting(WINDOW), tmp_path / "first").encode(texts)
    encoder = InParts(Counting(), tmp_path / "first")
    assert encoder.encode(texts)[:, 0].tolist() == list(range(2 * WINDOW))
    assert encoder.encode(texts[::-1])[0, 0] == 2 * WINDOW - 1
    assert (encoder.encoder.texts, encoder.identity) == (3 * WINDOW, "counting")
