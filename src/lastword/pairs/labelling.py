"""Pairs from labels: the positive has the anchor's label, the hard negative another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lastword.errors import RequestError, TableError
from lastword.files.sources import Source
from lastword.files.tables import Chunk, Kind, read_chunks
from lastword.pairs.record import Pair, Rejected, row_rng

POOL = 2000  # texts of a label that positives and negatives are drawn from


@dataclass
class SameLabel:
    """Another text of the same label, and one of another label that is neither of the two, if there is one.

    Attributes:
        file: the positives and negatives are drawn from this file, read once before the pairs are made; at
            most `POOL` texts of each label are kept in memory.
        text_column: column of the texts.
        label_column: column of the labels.
        negatives: whether to draw a hard negative.
        seed: decides which texts are kept.
    """

    file: Source
    text_column: str = "text"
    label_column: str = "label"
    negatives: bool = True
    seed: int = 0
    name: str = "labels"
    chunk: int = 4096
    _pools: dict[str, list[str]] = field(init=False, repr=False)  # label → distinct texts

    def __post_init__(self) -> None:
        """Fill a reservoir for each label (Vitter 1985, algorithm R), so that memory stays bounded."""
        if self.text_column == self.label_column:
            raise RequestError(f"texts and labels are both in column {self.text_column!r}: give two columns")
        self._pools = {}
        counts: dict[str, int] = {}
        for chunk in read_chunks(self.file, self.columns, self.chunk, drop_empty=True):
            for row, text, label in self._rows(chunk):
                pool = self._pools.setdefault(label, [])
                counts[label] = counts.get(label, 0) + 1
                if len(pool) < POOL:
                    pool.append(text)
                elif (index := row_rng(self.seed, "pool", row).randrange(counts[label])) < POOL:
                    pool[index] = text
        self._pools = {label: list(dict.fromkeys(pool)) for label, pool in self._pools.items()}
        if len(self._pools) < 2:
            raise TableError(
                f"{self.file}: column {self.label_column!r} has {len(self._pools)} label; pairs from labels need two"
            )

    @property
    def columns(self) -> dict[str, Kind]:
        """See `Method`."""
        return {self.text_column: "text", self.label_column: "label"}

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"negatives": self.negatives, "pool": POOL, "seed": self.seed}

    @property
    def inputs(self) -> list[str]:
        """See `Method`."""
        return [str(self.file)]

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        labels = sorted(self._pools)
        for row, text, label in self._rows(chunk):
            rng, pool = row_rng(seed, self.name, row), self._pools[label]
            positives = [other for other in rng.sample(pool, min(2, len(pool))) if other != text]
            if not positives:
                yield Rejected(row, "the only text of its label")
                continue
            negatives: list[str] = []
            others = [other for other in labels if other != label] if self.negatives else []
            while others and not negatives:  # a label may have no text but those of the pair
                pool = self._pools[others.pop(rng.randrange(len(others)))]
                drawn = rng.sample(pool, min(3, len(pool)))
                negatives = [other for other in drawn if other not in (text, positives[0])][:1]
            yield Pair(text, positives[0], row, negatives, {"label": label})

    def _rows(self, chunk: Chunk) -> Iterator[tuple[int, str, str]]:
        columns = chunk.columns
        return zip(chunk.rows, columns[self.text_column], columns[self.label_column], strict=True)
