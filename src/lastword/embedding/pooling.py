"""Hidden states to one vector: pure functions of the states and a mask of the positions that count.

A pooling never looks at padding, so neither its side nor its amount can change a vector. Where the
mask is empty (an empty text, pooled over the text alone) the vector is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lastword.errors import RequestError, unknown_name

Pool = Callable[[Tensor, Tensor], Tensor]
"""(batch, seq, dim) states, (batch, seq) bool mask → (batch, dim) float32."""


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average of the masked states."""
    weights = mask.float()
    total = torch.einsum("bsd,bs->bd", hidden.float(), weights)
    return total / weights.sum(1, keepdim=True).clamp(min=1)


def weightedmean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average with weights 1, 2, 3 … over the masked positions.

    Source: SGPT, arXiv:2202.08904, eq. 2. The weights count real tokens, not columns.
    """
    weights = mask.long().cumsum(1).float() * mask
    total = torch.einsum("bsd,bs->bd", hidden.float(), weights)
    return total / weights.sum(1, keepdim=True).clamp(min=1)


def lasttoken(hidden: Tensor, mask: Tensor) -> Tensor:
    """State of the last masked position."""
    position = torch.arange(mask.shape[1], device=mask.device)
    return _at(hidden, torch.where(mask, position, -1).amax(1).clamp(min=0), mask)


def cls(hidden: Tensor, mask: Tensor) -> Tensor:
    """State of the first masked position."""
    return _at(hidden, mask.long().argmax(1), mask)


def _at(hidden: Tensor, position: Tensor, mask: Tensor) -> Tensor:
    state = hidden[torch.arange(len(hidden), device=mask.device), position].float()
    return state.masked_fill(~mask.any(1, keepdim=True), 0.0)


def maximum(hidden: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each dimension over the masked positions."""
    largest = hidden.float().masked_fill(~mask[..., None], float("-inf")).amax(1)
    return largest.masked_fill(~mask.any(1, keepdim=True), 0.0)


POOLINGS: dict[str, Pool] = {
    "mean": mean,
    "lasttoken": lasttoken,
    "eos": lasttoken,  # the state of an appended end-of-text token; who appends it is the embedder
    "max": maximum,
    "weightedmean": weightedmean,
    "cls": cls,
}

Over = Literal["sequence", "text"]


@dataclass(frozen=True)
class Pooling:
    """Which pooling, and over which positions.

    Attributes:
        name: one of `POOLINGS`.
        over: "sequence" pools over template and text, "text" over the text's own tokens only.
    """

    name: str
    over: Over = "sequence"

    @classmethod
    def parse(cls, given: str | Pooling) -> Pooling:
        """Read `mean`, `lasttoken`, …, or `mean:text` for the text's own tokens.

        Raises:
            RequestError: an unknown name or place.
        """
        if isinstance(given, Pooling):
            return given
        name, _, over = given.lower().partition(":")
        if name not in POOLINGS:
            raise RequestError(unknown_name("pooling", name, POOLINGS))
        if over not in ("", "sequence", "text"):
            raise RequestError(unknown_name("place to pool over", over, ["sequence", "text"]))
        if (name, over) == ("eos", "text"):
            raise RequestError(
                "eos pooling reads the end-of-text token, which is no part of the text: use 'eos'"
            )
        return cls(name, "text" if over == "text" else "sequence")

    @property
    def spec(self) -> str:
        """The string that `parse` reads."""
        return self.name if self.over == "sequence" else f"{self.name}:{self.over}"

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, seq, dim) and (batch, seq) → (batch, dim) float32."""
        return POOLINGS[self.name](hidden, mask)
