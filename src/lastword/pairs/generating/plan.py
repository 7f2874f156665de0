"""What a generation will take, told before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lastword.console import info
from lastword.files.streams import chunks
from lastword.pairs.generating.instructions import asked
from lastword.pairs.generating.rewriting import Rewriting

CHARACTERS_PER_TOKEN = 4.0  # of English text with today's vocabularies
GROWTH = 1.5  # answers against texts, in tokens; what the five instructions gave on short sentences


@dataclass(frozen=True)
class Forecast:
    """Sizes and cost of a generation, estimated from the length of the texts.

    Attributes:
        rows: texts.
        requests: prompts.
        tokens_in, tokens_out: of all prompts and of all answers.
        cost: in the currency of the prices; None without prices.
    """

    rows: int
    requests: int
    tokens_in: int
    tokens_out: int
    cost: float | None

    def say(self) -> None:
        """Tell it to the user."""
        cost = "" if self.cost is None else f", about {self.cost:,.2f} at these prices"
        info(
            f"{self.requests:,} requests for {self.rows:,} texts: about {self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out{cost}"
        )


def forecast(
    method: Rewriting, file: str | Path, price_in: float | None = None, price_out: float | None = None
) -> Forecast:
    """Estimate requests, tokens and cost.

    Args:
        method: the generation.
        file: its texts.
        price_in: price of a million tokens read.
        price_out: price of a million tokens written.
    """
    rows = requests = read = written = 0
    instructions = list(method.instructions.values())
    for chunk in chunks(Path(file), method.columns, method.chunk):
        for text in chunk.columns[method.column]:
            if text.strip():
                prompts = [len(asked(instruction, text)) for instruction in instructions]
                times = len(prompts) if method.every else 1
                rows, requests = rows + 1, requests + times
                read += round(sum(prompts) / len(prompts) * times)
                written += round(len(text) * GROWTH * times)
    tokens_in, tokens_out = (round(size / CHARACTERS_PER_TOKEN) for size in (read, written))
    cost = None
    if price_in is not None or price_out is not None:
        cost = (tokens_in * (price_in or 0.0) + tokens_out * (price_out or 0.0)) / 1e6
    return Forecast(rows, requests, tokens_in, tokens_out, cost)
