"""Vectors of the texts of pairs by another model: all texts, once each, found again by their text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lastword.encoders.baselines import TfidfEncoder
from lastword.training.pairs import Pairs
from lastword.training.vectors import TextVectors, texts_of

PAIRS = Pairs(
    ["a red car", "a blue car", "a red car"], ["the car", "a sea", "a car"], [["a fox"], [], ["a sea"]]
)


class Lengths:
    """A text's vector has its length and the number of its words."""

    identity = "lengths"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return np.array([[len(text), 10 * len(text.split())] for text in texts], np.float32)


def test_every_text_once() -> None:
    assert texts_of(PAIRS) == ["a red car", "a blue car", "the car", "a sea", "a car", "a fox"]


def test_cosines_are_those_of_the_texts(tmp_path: Path) -> None:
    vectors = TextVectors.by(Lengths(), PAIRS, "guide", tmp_path)
    assert np.allclose(np.linalg.norm(vectors.vectors, axis=1), 1)
    sides = ["a car", "a red car"], ["a fox", "a sea", "a blue car"]
    first, second = (Lengths().encode(side) for side in sides)
    norms = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    assert vectors.cosines(*sides).numpy() == pytest.approx(first @ second.T / norms, abs=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == ["guide-000000.npz"]


def test_words_are_those_of_the_pairs(tmp_path: Path) -> None:
    encoder = TfidfEncoder()
    TextVectors.by(encoder, PAIRS, "teacher", tmp_path)
    assert encoder.identity == TfidfEncoder().fit(texts_of(PAIRS)).identity
