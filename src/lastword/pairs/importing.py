"""Pairs that exist already: columns of a file or of a data set on the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastword.files.formats import NEGATIVE
from lastword.files.tables import Chunk, Kind
from lastword.pairs.record import OneColumn, Pair, Rejected

PRESETS: dict[str, dict[str, Any]] = {
    "nli": {"anchor_column": "sent0", "positive_column": "sent1", "negative_column": "hard_neg"},
    "sts": {"anchor_column": "sentence1", "positive_column": "sentence2", "score_column": "score"},
    "duplicates": {
        "anchor_column": "question1", "positive_column": "question2", "score_column": "is_duplicate",
        "min_score": 1.0,
    },
    "title": {"anchor_column": "title", "positive_column": "body"},
}  # fmt: skip
"""Columns of common data sets: NLI triples (SimCSE's), STS, question duplicates, title and body."""


@dataclass(frozen=True)
class Import:
    """Columns as they are.

    Attributes:
        anchor_column, positive_column: columns of the texts.
        negative_column: column of hard negatives, with a text, null or a list of texts in each cell, or several
            columns, NAME_1, NAME_2 and so on; only "negative" may be missing.
        score_column: column of similarities; "" is without.
        min_score: pairs with a lower score are left out.
    """

    anchor_column: str = "anchor"
    positive_column: str = "positive"
    negative_column: str = NEGATIVE
    score_column: str = ""
    min_score: float = 0.0
    name: str = "import"
    chunk: int = 4096
    inputs: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Kind]:
        """See `Method`."""
        columns: dict[str, Kind] = {
            self.anchor_column: "text", self.positive_column: "text", self.negative_column: "negatives",
        }  # fmt: skip
        if self.score_column:
            columns[self.score_column] = "number"
        return columns

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"min_score": self.min_score if self.score_column else None}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        columns = chunk.columns
        for number, row in enumerate(chunk.rows):
            anchor, positive = (columns[name][number] for name in (self.anchor_column, self.positive_column))
            score = float(columns[self.score_column][number]) if self.score_column else None
            if anchor == positive:
                yield Rejected(row, "both sides are the same")
            elif score is not None and score < self.min_score:
                yield Rejected(row, f"score below {self.min_score:g}")
            else:
                yield Pair(
                    anchor, positive, row, chunk.negatives[number], {} if score is None else {"score": score}
                )


@dataclass(frozen=True)
class SameText(OneColumn):
    """Each text with itself: dropout makes the two sides differ.

    Source: unsupervised SimCSE, arXiv:2104.08821. There the whole model has dropout; decoders have none, and here the
    inputs of the adapters have it.

    Attributes:
        text_column: column of the texts.
    """

    text_column: str = "text"
    name: str = "dropout"
    chunk: int = 4096
    inputs: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        for row, text in zip(chunk.rows, chunk.columns[self.text_column], strict=True):
            yield Pair(text, text, row)
