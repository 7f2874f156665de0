"""What is scored: anything that turns texts into vectors and can say which anything it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lastword.errors import RequestError, WorkError


class TextEncoder(Protocol):
    """Texts in, vectors out; `lastword.embedding.Embedder` is one."""

    @property
    def identity(self) -> str:
        """A string, a hash inside, that differs whenever the vectors may differ."""

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32, in the order of the texts."""


class ManyPooled(TextEncoder, Protocol):
    """An encoder whose one pass gives the vectors of other encoders too: the same model, pooled otherwise."""

    @property
    def others(self) -> tuple[str, ...]:
        """Their identities, as each of them would give it."""

    def encode_all(self, texts: Sequence[str], /) -> dict[str, np.ndarray]:
        """Return identity → (n, dim) float32: its own and those of the others."""


class VectorRows:
    """Vectors that exist already, as an encoder whose texts are the numbers of their rows.

    Numbers and not the texts themselves, so that two rows with the same text keep their own vectors.

    Attributes:
        texts: "0" … "n - 1", what `encode` understands.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = np.asarray(vectors)
        if self.vectors.ndim != 2:
            raise RequestError(f"vectors have shape {self.vectors.shape}: give one row per text, (n, dim)")
        self.texts = [str(row) for row in range(len(self.vectors))]

    @property
    def identity(self) -> str:
        """Hash of the vectors, of their shape and of their type."""
        facts = f"{self.vectors.shape} {self.vectors.dtype}".encode()
        return f"vectors-{hashlib.sha256(facts + self.vectors.tobytes()).hexdigest()}"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return the rows that the texts name."""
        return self.vectors[[int(text) for text in texts]]


def encode_distinct(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Embed every distinct text once and give each of the n texts its vector.

    Returns:
        (n, dim), in the order of the texts.

    Raises:
        WorkError: the encoder gave another number of vectors than texts, or numbers that are not finite.
    """
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    vectors = checked(encoder.encode(list(row_of)), len(row_of))
    return vectors[[row_of[text] for text in texts]]


def checked(vectors: np.ndarray, texts: int) -> np.ndarray:
    """Give the vectors back if there is a finite one for each of so many texts.

    Raises:
        WorkError: as for `encode_distinct`.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != texts:
        raise WorkError(
            f"the model gave an array of shape {vectors.shape} for {texts} texts, not one row each"
        )
    spoilt = ~np.isfinite(vectors).all(axis=1)
    if spoilt.any():
        raise WorkError(
            f"the model gave {spoilt.sum()} of {texts} vectors with numbers that are not finite: "
            "try dtype float32, or an earlier checkpoint"
        )
    return vectors
