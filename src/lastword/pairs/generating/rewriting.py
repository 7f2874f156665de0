"""Pairs of a text and what a language model made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lastword.files.streams import Chunk
from lastword.pairs.generating.answers import cleaned, problem
from lastword.pairs.generating.engine import Engine, Prompt
from lastword.pairs.generating.instructions import INSTRUCTIONS, asked
from lastword.pairs.method import rng
from lastword.pairs.record import NO_TEXT, Pair, Rejected


@dataclass(frozen=True)
class Rewriting:
    """Each text, rewritten by one instruction drawn for it, or by all of them.

    Source: arXiv:2507.22729, §3.3 and Table 2.

    Attributes:
        engine: who answers.
        column: column of the texts.
        instructions: name → instruction with `{text}`.
        every: use all instructions for each text, not one.
    """

    engine: Engine
    column: str = "text"
    instructions: dict[str, str] = field(default_factory=lambda: dict(INSTRUCTIONS))
    every: bool = False
    name: str = "generate"
    chunk: int = 256

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Method`."""
        return (self.column,)

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"engine": self.engine.settings(), "instructions": self.instructions, "every": self.every}

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        texts = chunk.columns[self.column]
        asked_of = [
            (row, text, name)
            for row, text in enumerate(texts, chunk.start)
            if text.strip()
            for name in self.chosen(seed, row)
        ]
        prompts = [
            Prompt(
                asked(self.instructions[name], text), rng(seed, f"{self.name}/{name}", row).getrandbits(31)
            )
            for row, text, name in asked_of
        ]
        answers = self.engine.answers(prompts)
        yield from (Rejected(row, NO_TEXT) for row, text in enumerate(texts, chunk.start) if not text.strip())
        for (row, text, name), answer in zip(asked_of, answers, strict=True):
            said = cleaned(answer.text)
            reason = answer.problem or problem(said, text, self.instructions[name])
            yield Rejected(row, reason) if reason else Pair(text, said, row, meta={"instruction": name})

    def chosen(self, seed: int, row: int) -> list[str]:
        """Names of the instructions that a row gets."""
        names = list(self.instructions)
        return names if self.every else [rng(seed, self.name, row).choice(names)]
