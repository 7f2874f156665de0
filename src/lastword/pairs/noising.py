"""Pairs of a text and a slightly damaged copy of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastword.augment import NOISES, checked_noises, noisy
from lastword.errors import RequestError, unknown_name
from lastword.files.tables import Chunk
from lastword.pairs.record import OneColumn, Pair, Rejected, row_rng

SIDES = ("positive", "both")


@dataclass(frozen=True)
class Noise(OneColumn):
    """A text and a noisy copy, or two noisy copies.

    Source: arXiv:2507.22729, §3.3.

    Attributes:
        text_column: column of the texts.
        kinds: names in `NOISES`, applied in this order.
        side: "positive" leaves the anchor as it is, "both" damages it too, in another random way.
    """

    text_column: str = "text"
    kinds: tuple[str, ...] = tuple(NOISES)
    side: str = "positive"
    name: str = "noise"
    chunk: int = 4096
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        checked_noises(self.kinds)
        if not self.kinds:
            raise RequestError(f"kinds is empty: choose from {', '.join(NOISES)}")
        if self.side not in SIDES:
            raise RequestError(unknown_name("side", self.side, SIDES))

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"kinds": list(self.kinds), "side": self.side}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        for row, text in zip(chunk.rows, chunk.columns[self.text_column], strict=True):
            rng = row_rng(seed, self.name, row)
            positive = noisy(text, self.kinds, rng)
            anchor = noisy(text, self.kinds, rng) if self.side == "both" else text
            if anchor == positive:
                yield Rejected(row, "too short to be changed")
            else:
                yield Pair(anchor, positive, row, meta={"kinds": list(self.kinds)})
