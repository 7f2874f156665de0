"""Pairs of near neighbours: two texts that an encoder and their words both find alike, for texts without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastword.encoder import TextEncoder, encode_distinct
from lastword.encoders.baselines import TfidfEncoder
from lastword.files.sources import Source
from lastword.files.tables import Chunk, read_chunks
from lastword.geometry import unit
from lastword.pairs.checking.rules import identical, nearly_identical
from lastword.pairs.record import OneColumn, Pair, Rejected

NEAREST = 5
"""Texts among which both texts of a pair find each other."""
KEPT = 0.5
"""Share of such pairs that is kept, the most alike ones: they are about the same thing more often."""
_BLOCK_BYTES = 64 * 2**20  # of similarities that are in memory together


@dataclass
class Neighbours(OneColumn):
    """Two texts each of which is among the five nearest of the other.

    Texts are as near as the sum of two cosines says: of the encoder's vectors, centred so that a direction which all
    texts share does not count, and of TF-IDF vectors of the same texts. With TF-IDF as the encoder, only the words
    count. Near-duplicates are no pair: they would teach nothing. Of the others, the more alike half are pairs.

    Source: nearest neighbours as positives, NNCLR, arXiv:2104.14548; mutual ones only, as in the mining of
    translations, arXiv:1811.01136. That vectors and words together find better pairs than either alone is a
    measurement of this project.

    Attributes:
        file: the texts, read once before the pairs are made; of equal ones the first.
        encoder: of the vectors, such as the model that will be trained.
        text_column: column of the texts.
        most: texts that are compared, the first ones.
    """

    file: Source
    encoder: TextEncoder
    text_column: str = "text"
    most: int = 100_000
    name = "neighbours"
    chunk = 4096
    _outcomes: dict[int, list[Pair | Rejected]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Find the neighbours of all texts."""
        first: dict[str, tuple[int, str]] = {}
        for chunk in read_chunks(self.file, self.columns, self.chunk, drop_empty=True):
            for row, text in zip(chunk.rows, chunk.columns[self.text_column], strict=True):
                if len(first) < self.most:
                    first.setdefault(_plain(text), (row, text))
        rows, texts = [row for row, _ in first.values()], [text for _, text in first.values()]
        self._outcomes = {}
        if len(texts) > 1:
            nearest, similarity = nearest_others(self._coordinates(texts), NEAREST)
            self._outcomes = _outcomes(rows, texts, nearest, similarity)

    @property
    def inputs(self) -> list[str]:
        """See `Method`."""
        return [str(self.file)]

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"encoder": self.encoder.identity, "most": self.most}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        repeated = "repeats an earlier text, or is beyond the most"
        for row in chunk.rows:
            yield from self._outcomes.get(row, [Rejected(row, repeated)])

    def _coordinates(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dim) float32 whose products are the similarities."""
        if isinstance(self.encoder, TfidfEncoder):
            return self._words(texts)
        vectors = encode_distinct(self.encoder, texts)
        centred = (vectors - vectors.mean(0)).astype(np.float32, copy=False)
        return np.hstack([unit(centred), self._words(texts)])

    def _words(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dim) TF-IDF vectors of length 1."""
        fitted = self.encoder if isinstance(self.encoder, TfidfEncoder) else TfidfEncoder().fit(texts)
        return fitted.encode(texts)


def nearest_others(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other rows of each row, by the product; exact, in blocks of bounded memory.

    Args:
        rows: (n, dim), n ≥ 2.
        count: how many; at most n - 1.

    Returns:
        (n, count) numbers of rows, in no order, and (n, count) float32 products.
    """
    n = len(rows)
    count = min(count, n - 1)
    nearest, products = np.empty((n, count), np.int64), np.empty((n, count), np.float32)
    size = max(1, _BLOCK_BYTES // (4 * n))
    for start in range(0, n, size):
        block = np.arange(start, min(start + size, n))
        similarity = rows[block] @ rows.T
        similarity[np.arange(len(block)), block] = -np.inf
        nearest[block] = np.argpartition(similarity, n - count, axis=1)[:, n - count :]
        products[block] = np.take_along_axis(similarity, nearest[block], axis=1)
    return nearest, products


def _outcomes(
    rows: Sequence[int], texts: Sequence[str], nearest: np.ndarray, similarity: np.ndarray
) -> dict[int, list[Pair | Rejected]]:
    """Number of a row → its pairs with later rows, or why it has none."""
    sets = [set(others.tolist()) for others in nearest]
    outcomes: dict[int, list[Pair | Rejected]] = {}
    mutual: list[list[tuple[int, float]]] = []
    for i, (others, values) in enumerate(zip(nearest.tolist(), similarity.tolist(), strict=True)):
        found = zip(others, values, strict=True)
        mutual.append(sorted((j, value) for j, value in found if value > 0 and i in sets[j]))
    different = [
        [(j, value) for j, value in found if not _near_duplicates(texts[i], texts[j])]
        for i, found in enumerate(mutual)
    ]
    threshold = np.quantile([value for found in different for _, value in found] or [0.0], 1 - KEPT)
    for i, row in enumerate(rows):
        kept = [(j, value) for j, value in different[i] if value >= threshold]
        pairs: list[Pair | Rejected] = [
            Pair(texts[i], texts[j], row, meta={"similarity": round(value, 4)}) for j, value in kept if j > i
        ]
        outcomes[row] = pairs or [Rejected(row, _reason(mutual[i], different[i], kept))]
    return outcomes


def _reason(mutual: Sequence[object], different: Sequence[object], kept: Sequence[object]) -> str:
    """Why a text begins no pair."""
    if kept:
        return "in the pairs of earlier texts"
    if different:
        return "less alike than near texts usually are"
    return (
        "nearly the same as its nearest texts" if mutual else "its nearest texts have others that are nearer"
    )


def _plain(text: str) -> str:
    """A text without what makes no difference in meaning: case and white space."""
    return " ".join(text.lower().split())


def _near_duplicates(first: str, second: str) -> bool:
    return identical(first, second) or nearly_identical(first, second)
