"""Pairs of a text and what is left of it after a way through another language and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastword.files.streams import Chunk
from lastword.pairs.generating.answers import cleaned, problem
from lastword.pairs.record import NO_TEXT, Pair, Rejected
from lastword.pairs.translators import Translator


@dataclass(frozen=True)
class BackTranslation:
    """Each text, translated to a pivot language and back; one pair for each pivot.

    A text that does not come back, comes back unchanged or in another language gives no pair.

    Source: arXiv:2507.22729, §3.3 (English, German and back); the idea in arXiv:1511.06709.

    Attributes:
        ways: pivot language → (there, back).
        column: column of the texts.
    """

    ways: dict[str, tuple[Translator, Translator]]
    column: str = "text"
    name: str = "translate"
    chunk: int = 256

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Method`."""
        return (self.column,)

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {
            "ways": {pivot: [getattr(one, "model", "") for one in way] for pivot, way in self.ways.items()}
        }

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        texts = chunk.columns[self.column]
        rows = [row for row, text in enumerate(texts) if text.strip()]
        yield from (Rejected(chunk.start + row, NO_TEXT) for row in set(range(len(texts))) - set(rows))
        for pivot, (there, back) in self.ways.items():
            for row, returned in zip(
                rows, _there_and_back([texts[row] for row in rows], there, back), strict=True
            ):
                said = cleaned(returned or "")
                reason = (
                    problem(said, texts[row], "")
                    if returned is not None
                    else "longer than the model's window"
                )
                if reason:
                    yield Rejected(chunk.start + row, reason)
                else:
                    yield Pair(texts[row], said, chunk.start + row, meta={"via": pivot})


def _there_and_back(texts: list[str], there: Translator, back: Translator) -> list[str | None]:
    abroad = there(texts)
    arrived = [row for row, text in enumerate(abroad) if text and text.strip()]
    home = dict(zip(arrived, back([str(abroad[row]) for row in arrived]), strict=True)) if arrived else {}
    return [home.get(row, None if text is None else "") for row, text in enumerate(abroad)]
