"""Pairs of nearest neighbours: two texts that an encoder finds alike, for texts without labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastword.encoder import TextEncoder, encode_distinct
from lastword.files.sources import Source
from lastword.files.tables import Chunk, read_chunks
from lastword.geometry import unit
from lastword.pairs.record import OneColumn, Pair, Rejected

_BLOCK = 1024  # rows whose similarities to all others are in memory together


@dataclass
class Neighbours(OneColumn):
    """Two texts that are the nearest to each other, if they are as alike as nearest texts usually are.

    Vectors are centred first, so that a direction which all texts share does not count. The threshold comes from the
    texts: a pair must be at least as similar as half of the nearest neighbours that are not mutual.

    Source: nearest neighbours as positives, NNCLR, arXiv:2104.14548, §3.2; mutual ones only, as in the mining of
    translations, arXiv:1811.01136, §3. The threshold is this project's: on labelled texts it chose purer pairs than
    the margin of that paper.

    Attributes:
        file: the texts, read once before the pairs are made; of equal ones the first.
        encoder: finds the neighbours, such as the model that will be trained or TF-IDF.
        text_column: column of the texts.
        most: texts that are compared, the first ones.
        name: of the method, where several encoders are used.
    """

    file: Source
    encoder: TextEncoder
    text_column: str = "text"
    most: int = 20_000
    name: str = "neighbours"
    chunk: int = 4096
    _outcomes: dict[int, Pair | Rejected] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Find the neighbours of all texts."""
        first: dict[str, tuple[int, str]] = {}
        for chunk in read_chunks(self.file, self.columns, self.chunk, drop_empty=True):
            for row, text in zip(chunk.rows, chunk.columns[self.text_column], strict=True):
                if len(first) < self.most:
                    first.setdefault(_plain(text), (row, text))
        texts = dict(first.values())
        self._outcomes = {}
        if len(texts) > 1:
            nearest, cosines = nearest_others(encode_distinct(self.encoder, list(texts.values())))
            self._outcomes = _outcomes(texts, nearest, cosines)

    @property
    def inputs(self) -> list[str]:
        """See `Method`."""
        return [str(self.file)]

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"encoder": self.encoder.identity, "most": self.most}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        for row in chunk.rows:
            yield self._outcomes.get(row, Rejected(row, "repeats an earlier text, or is beyond the most"))


def nearest_others(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other row of each row, by the cosine of centred vectors.

    Args:
        vectors: (n, dim), n ≥ 2.

    Returns:
        (n,) numbers of rows and (n,) float32 cosines.
    """
    rows = unit(vectors - vectors.mean(0)).astype(np.float32)
    nearest, cosines = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(rows)))
        similarity = rows[block] @ rows.T
        similarity[np.arange(len(block)), block] = -np.inf
        nearest[block] = similarity.argmax(1)
        cosines[block] = similarity[np.arange(len(block)), nearest[block]]
    return nearest, cosines


def _outcomes(texts: dict[int, str], nearest: np.ndarray, cosines: np.ndarray) -> dict[int, Pair | Rejected]:
    """Number of a row → its pair, or why it has none."""
    rows, order = list(texts), np.arange(len(texts))
    mutual = nearest[nearest] == order
    threshold = float(np.median(cosines[~mutual])) if not mutual.all() else -1.0
    outcomes: dict[int, Pair | Rejected] = {}
    for i, row in enumerate(rows):
        other = rows[nearest[i]]
        if not mutual[i]:
            outcomes[row] = Rejected(row, "its nearest text has another nearest one")
        elif cosines[i] < threshold:
            outcomes[row] = Rejected(row, "less alike than nearest texts usually are")
        elif other < row:
            outcomes[row] = Rejected(row, "in the pair of an earlier text")
        else:
            meta = {"cosine": round(float(cosines[i]), 4), "threshold": round(threshold, 4)}
            outcomes[row] = Pair(texts[row], texts[other], row, meta=meta)
    return outcomes


def _plain(text: str) -> str:
    """A text without what makes no difference in meaning: case and white space."""
    return " ".join(text.lower().split())
