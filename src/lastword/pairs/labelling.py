"""Pairs from labels: the positive shares the anchor's label, the hard negative does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastword.errors import RequestError, TableError
from lastword.files.streams import Chunk, chunks
from lastword.pairs.method import rng
from lastword.pairs.record import NO_TEXT, Pair, Rejected

POOL = 2000  # texts of a label that positives and negatives are drawn from


@dataclass
class SameLabel:
    """Another text of the same label, and one of another label.

    Attributes:
        file: the texts are drawn from this file too, in a first pass, at most `POOL` of each label.
        column: column of the texts.
        label_column: column of the labels.
        negatives: whether to draw a hard negative.
        seed: decides which texts stand in the pools.
    """

    file: Path
    column: str = "text"
    label_column: str = "label"
    negatives: bool = True
    seed: int = 0
    name: str = "labels"
    chunk: int = 4096
    _pools: dict[str, list[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fill the pools: a reservoir for each label (Vitter 1985, algorithm R), so memory stays bounded."""
        self._pools = {}
        counts: dict[str, int] = {}
        for chunk in chunks(self.file, self.columns, self.chunk):
            texts, labels = (chunk.columns[name] for name in self.columns)
            for row, (text, label) in enumerate(zip(texts, labels, strict=True), chunk.start):
                if not text.strip() or not label.strip():
                    continue
                pool = self._pools.setdefault(label, [])
                counts[label] = counts.get(label, 0) + 1
                if len(pool) < POOL:
                    pool.append(text)
                elif (place := rng(self.seed, "pool", row).randrange(counts[label])) < POOL:
                    pool[place] = text
        if len(self._pools) < 2:
            raise TableError(
                f"{self.file}: column {self.label_column!r} has {len(self._pools)} label; pairs from labels need two"
            )
        if self.column == self.label_column:
            raise RequestError(f"texts and labels are both column {self.column!r}: give two")

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Method`."""
        return (self.column, self.label_column)

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"negatives": self.negatives, "pool": POOL}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        texts, labels = (chunk.columns[name] for name in self.columns)
        names = sorted(self._pools)
        for row, (text, label) in enumerate(zip(texts, labels, strict=True), chunk.start):
            if not text.strip() or not label.strip():
                yield Rejected(row, NO_TEXT)
                continue
            draw = rng(seed, self.name, row)
            others = [
                other
                for other in draw.sample(self._pools[label], min(8, len(self._pools[label])))
                if other != text
            ]
            if not others:
                yield Rejected(row, "the only text of its label")
                continue
            negative = ""
            if self.negatives:
                negative = draw.choice(self._pools[draw.choice([name for name in names if name != label])])
            yield Pair(text, others[0], row, negative, meta={"label": label})
