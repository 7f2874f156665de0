"""Pairs that somebody made already: two or three columns of a file or of a data set on the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastword.files.streams import Chunk
from lastword.pairs.record import NO_TEXT, Pair, Rejected

PRESETS: dict[str, dict[str, Any]] = {
    "nli": {"anchor": "sent0", "positive": "sent1", "negative": "hard_neg"},
    "sts": {"anchor": "sentence1", "positive": "sentence2", "score": "score"},
    "duplicates": {"anchor": "question1", "positive": "question2", "score": "is_duplicate", "least": 1.0},
    "title": {"anchor": "title", "positive": "body"},
}
"""Which columns the usual data sets have: NLI triples (SimCSE's), STS, question duplicates, title and body."""


@dataclass(frozen=True)
class Import:
    """Columns as they are.

    Attributes:
        anchor, positive: their columns.
        negative: column of hard negatives, or "".
        score: column of a similarity, or "": pairs below `least` are left out.
        least: lowest score that counts as a positive.
    """

    anchor: str = "anchor"
    positive: str = "positive"
    negative: str = ""
    score: str = ""
    least: float = 0.0
    name: str = "import"
    chunk: int = 4096

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Method`."""
        return tuple(name for name in (self.anchor, self.positive, self.negative, self.score) if name)

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"least": self.least if self.score else None}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        columns, blanks = chunk.columns, [""] * len(chunk)
        anchors, positives = columns[self.anchor], columns[self.positive]
        negatives = columns[self.negative] if self.negative else blanks
        scores = columns[self.score] if self.score else blanks
        for row, (anchor, positive, negative, score) in enumerate(
            zip(anchors, positives, negatives, scores, strict=True), chunk.start
        ):
            if not anchor.strip() or not positive.strip():
                yield Rejected(row, NO_TEXT)
            elif anchor == positive:
                yield Rejected(row, "both sides are the same")
            elif self.score and _number(score) < self.least:
                yield Rejected(row, f"score below {self.least:g}")
            else:
                yield Pair(
                    anchor, positive, row, negative, meta={"score": _number(score)} if self.score else {}
                )


@dataclass(frozen=True)
class SameText:
    """Each text with itself: the model's own dropout makes the two sides differ.

    Source: SimCSE, arXiv:2104.08821, §3.

    Attributes:
        column: column of the texts.
    """

    column: str = "text"
    name: str = "dropout"
    chunk: int = 4096

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Method`."""
        return (self.column,)

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        for row, text in enumerate(chunk.columns[self.column], chunk.start):
            yield Pair(text, text, row) if text.strip() else Rejected(row, NO_TEXT)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("-inf")
