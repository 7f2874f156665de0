"""Pairs of two pieces of one document: for texts without any labels."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lastword.errors import RequestError, unknown_name
from lastword.files.tables import Chunk
from lastword.pairs.record import OneColumn, Pair, Rejected, row_rng

MODES = ("spans", "sentences")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+(?=\S)")


@dataclass(frozen=True)
class Crop(OneColumn):
    """Two spans of a document that do not overlap, or two neighbouring sentences.

    Source: random cropping as in Contriever, arXiv:2112.09118, here without overlap, since common words
    would make a pair too easy.

    Attributes:
        text_column: column of the documents.
        mode: "spans" or "sentences".
        min_words, max_words: length of a piece.
        per_document: most pairs of one document.
    """

    text_column: str = "text"
    mode: str = "spans"
    min_words: int = 5
    max_words: int = 60
    per_document: int = 1
    name: str = "crop"
    chunk: int = 4096
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if self.mode not in MODES:
            raise RequestError(unknown_name("mode", self.mode, MODES))
        if not 1 <= self.min_words <= self.max_words:
            raise RequestError(
                f"min_words={self.min_words}, max_words={self.max_words}: the first must be from 1 to the second"
            )
        if self.per_document < 1:
            raise RequestError(f"per_document={self.per_document}: it must be at least 1")

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {
            "mode": self.mode, "min_words": self.min_words, "max_words": self.max_words,
            "per_document": self.per_document,
        }  # fmt: skip

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        pieces_of = self._spans if self.mode == "spans" else self._sentences
        for row, text in zip(chunk.rows, chunk.columns[self.text_column], strict=True):
            pieces = list(dict.fromkeys(pieces_of(text, row_rng(seed, self.name, row))))
            if not pieces:
                yield Rejected(row, "too short for two pieces")
            for anchor, positive in pieces:
                yield Pair(anchor, positive, row, meta={"mode": self.mode})

    def _spans(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        """Split the document at a random word, and take a span from either side."""
        words = text.split()
        for _ in range(self.per_document if len(words) >= 2 * self.min_words else 0):
            split = rng.randint(self.min_words, len(words) - self.min_words)
            sides = [self._span(words[:split], rng), self._span(words[split:], rng)]
            rng.shuffle(sides)
            yield sides[0], sides[1]

    def _span(self, words: list[str], rng: random.Random) -> str:
        length = rng.randint(self.min_words, min(self.max_words, len(words)))
        start = rng.randint(0, len(words) - length)
        return " ".join(words[start : start + length])

    def _sentences(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        neighbours = [
            (first, second)
            for first, second in pairwise(_SENTENCE_END.split(text.strip()))
            if all(self.min_words <= len(side.split()) <= self.max_words for side in (first, second))
        ]
        yield from rng.sample(neighbours, min(self.per_document, len(neighbours)))
