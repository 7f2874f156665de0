"""What the students learn from: texts with their vectors by the teacher, in parts that a resumed run reads again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lastword.bundled import PATHS
from lastword.console import info
from lastword.encoder import TextEncoder
from lastword.encoders.in_parts import WINDOW, encoded
from lastword.errors import RequestError
from lastword.files.inputs import sample_rows
from lastword.files.sources import Source, TableFile
from lastword.files.tables import read_texts
from lastword.geometry import unit

LEAST_TEXTS = 100
PARTS = "texts-*.npz"
HELD_OUT, MOST_HELD_OUT = (
    10,
    1000,
)  # one text of ten, twice: to choose between students, and to measure the result
_TIMED_S = 1.0


@dataclass(frozen=True)
class TeacherVectors:
    """Texts and what the teacher gives to them.

    Attributes:
        texts: n distinct texts, shuffled.
        vectors: (n, dim) float32 of length 1.
        texts_per_second: speed of the teacher.
    """

    texts: list[str]
    vectors: np.ndarray
    texts_per_second: float

    @property
    def _held(self) -> int:
        return min(len(self.texts) // HELD_OUT, MOST_HELD_OUT)

    @property
    def measuring(self) -> slice:
        """Texts that the finished student is measured on."""
        return slice(0, self._held)

    @property
    def choosing(self) -> slice:
        """Texts that choose between students: a strength, a checkpoint."""
        return slice(self._held, 2 * self._held)

    @property
    def fitting(self) -> slice:
        """Texts that the student is fitted to."""
        return slice(2 * self._held, None)


@dataclass(frozen=True)
class Student:
    """A student that is written, beside its teacher on the texts for measuring.

    Attributes:
        folder: of sentence-transformers.
        vectors: (n, dim) float32 of length 1.
        targets: (n, dim) float32, the teacher's vectors, projected where the student has fewer dimensions.
        texts_per_second: its speed.
        facts: what else the result tells, as JSON values.
    """

    folder: Path
    vectors: np.ndarray
    targets: np.ndarray
    texts_per_second: float
    facts: dict[str, Any]


def read_distinct(
    texts: Source | Sequence[str], text_column: str, drop_empty: bool, max_texts: int | None, seed: int
) -> list[str]:
    """The distinct texts, shuffled.

    Raises:
        MissingFileError, TableError: the file cannot be read.
        RequestError: there are fewer than 100.
    """
    if isinstance(texts, str | Path | TableFile):
        file = PATHS.get(str(texts), texts)
        cells, source = read_texts(file, [text_column], drop_empty=drop_empty)[text_column], str(texts)
    else:
        cells, source = list(texts), "the list"
    distinct = list(dict.fromkeys(cells))
    distinct = [distinct[row] for row in sample_rows(len(distinct), max_texts, seed)]
    if len(distinct) < LEAST_TEXTS:
        raise RequestError(f"{source} has {len(distinct)} distinct texts: give at least {LEAST_TEXTS}")
    return random.Random(seed).sample(distinct, len(distinct))


def teacher_vectors(encoder: TextEncoder, texts: list[str], folder: Path) -> TeacherVectors:
    """The vectors of the texts; those that are in the folder from an interrupted run are not computed again."""
    if done := sum(1 for _ in folder.glob(PARTS)):
        info(f"resuming after {min(done * WINDOW, len(texts)):,} texts through the model")
    vectors, seconds = encoded(encoder, texts, "texts", folder)
    return TeacherVectors(texts, unit(vectors), len(texts) / seconds)


def speed(encode: Callable[[list[str]], object], texts: list[str]) -> float:
    """Texts per second, timed for a second or more."""
    began, passes = time.perf_counter(), 0
    while time.perf_counter() - began < _TIMED_S:
        encode(texts)
        passes += 1
    return passes * len(texts) / (time.perf_counter() - began)
