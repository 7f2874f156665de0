"""What a way of making pairs has to offer, and the randomness it may use."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, Protocol

from lastword.files.streams import Chunk
from lastword.pairs.record import Pair, Rejected


class Method(Protocol):
    """A way of making pairs.

    What it makes of a row depends on the row, its number and the seed alone, never on its neighbours:
    so a run that was cut off goes on as if nothing had happened.
    """

    @property
    def name(self) -> str:
        """As it stands in the column `method`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Which columns it reads."""

    @property
    def chunk(self) -> int:
        """Rows it takes at a time, and after which a run can be resumed."""

    def settings(self) -> dict[str, Any]:
        """Whatever changes the pairs, as JSON has it; a resumed run must have the same."""

    def pairs(self, chunk: Chunk, seed: int) -> Iterable[Pair | Rejected]:
        """Make the pairs of some rows."""


def rng(seed: int, name: str, row: int) -> random.Random:
    """A generator of its own for each row, the same in every run and on every machine."""
    return random.Random(f"{seed}/{name}/{row}")
