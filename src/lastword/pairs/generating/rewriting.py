"""Pairs of a text and its rewriting by a language model, and a forecast of what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lastword.console import info
from lastword.files.sources import Source
from lastword.files.tables import Chunk, read_chunks
from lastword.pairs.generating.answers import cleaned, language_detector, problem
from lastword.pairs.generating.engine import Engine, Prompt
from lastword.pairs.generating.instructions import INSTRUCTIONS, fill
from lastword.pairs.record import OneColumn, Pair, Rejected, row_rng

CHARACTERS_PER_TOKEN = 4.0  # of English text with today's vocabularies
GROWTH = (
    1.5  # length of an answer over that of its text; measured with the five instructions on short sentences
)


@dataclass(frozen=True)
class Rewriting(OneColumn):
    """Each text, rewritten by one instruction drawn at random, or by each of them.

    Source: arXiv:2507.22729, §3.3 and Table 2.

    Attributes:
        engine: the language model.
        text_column: column of the texts.
        instructions: name → instruction with `{text}`.
        every: use all instructions for each text.
    """

    engine: Engine
    text_column: str = "text"
    instructions: dict[str, str] = field(default_factory=lambda: dict(INSTRUCTIONS))
    every: bool = False
    name: str = "generate"
    chunk: int = 256

    def __post_init__(self) -> None:
        """Refuse to start without the library that judges the answers."""
        language_detector()

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"engine": self.engine.settings(), "instructions": self.instructions, "every": self.every}

    @property
    def inputs(self) -> list[str]:
        """See `Method`."""
        return [str(self.engine.settings().get("model", ""))]

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        requests = [
            (row, text, name)
            for row, text in zip(chunk.rows, chunk.columns[self.text_column], strict=True)
            for name in self.chosen(seed, row)
        ]
        prompts = []
        for row, text, name in requests:
            answer_seed = row_rng(seed, f"{self.name}/{name}", row).getrandbits(31)
            prompts.append(Prompt(fill(self.instructions[name], text), answer_seed))
        for (row, text, name), answer in zip(requests, self.engine.answers(prompts), strict=True):
            rewriting = cleaned(answer.text)
            if reason := answer.problem or problem(rewriting, text, self.instructions[name]):
                yield Rejected(row, reason)
            else:
                yield Pair(text, rewriting, row, meta={"instruction": name})

    def chosen(self, seed: int, row: int) -> list[str]:
        """Names of the instructions for a row."""
        names = list(self.instructions)
        return names if self.every else [row_rng(seed, self.name, row).choice(names)]


@dataclass(frozen=True)
class Forecast:
    """Sizes and cost of a generation, estimated from the lengths of the texts.

    Attributes:
        rows: number of texts.
        requests: number of prompts.
        tokens_in, tokens_out: tokens of all prompts and of all answers.
        cost: in the currency of the prices; None without prices.
    """

    rows: int
    requests: int
    tokens_in: int
    tokens_out: int
    cost: float | None

    def log(self) -> None:
        """Show it as a message."""
        cost = "" if self.cost is None else f", about {self.cost:,.2f} at these prices"
        info(
            f"{self.requests:,} requests for {self.rows:,} texts: about {self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out{cost}"
        )


def forecast(
    method: Rewriting, file: Source, price_in: float | None = None, price_out: float | None = None
) -> Forecast:
    """Estimate requests, tokens and cost.

    Args:
        method: the generation.
        file: its texts.
        price_in: price of a million tokens of prompts.
        price_out: price of a million tokens of answers.

    Raises:
        MissingFileError, TableError: see the message.
    """
    rows, requests = 0, 0
    characters_in, characters_out = 0.0, 0.0
    instructions = list(method.instructions.values())
    times = len(instructions) if method.every else 1
    for chunk in read_chunks(file, method.columns, method.chunk, drop_empty=True):
        for text in chunk.columns[method.text_column]:
            prompts = [len(fill(instruction, text)) for instruction in instructions]
            rows, requests = rows + 1, requests + times
            characters_in += sum(prompts) / len(prompts) * times
            characters_out += len(text) * GROWTH * times
    tokens_in, tokens_out = (round(size / CHARACTERS_PER_TOKEN) for size in (characters_in, characters_out))
    cost = None
    if price_in is not None or price_out is not None:
        cost = (tokens_in * (price_in or 0.0) + tokens_out * (price_out or 0.0)) / 1e6
    return Forecast(rows, requests, tokens_in, tokens_out, cost)
