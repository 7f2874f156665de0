"""Hidden states to one vector: pure functions of the states and a mask of the positions that count.

A pooling never reads padding, so neither its side nor its amount can change a vector. Where the mask is
empty (an empty text, pooled over the text alone) the vector is zero.

This file does not import torch: names are checked before it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lastword.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

Pool = Callable[["Tensor", "Tensor"], "Tensor"]
"""(batch, seq, dim) states, (batch, seq) bool mask → (batch, dim) float32."""


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average of the masked states."""
    return _weighted(hidden, mask.float())


def weightedmean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average with weights 1, 2, 3 … over the masked positions.

    Source: SGPT, arXiv:2202.08904, eq. 2. The weights count real tokens, not columns.
    """
    return _weighted(hidden, mask.long().cumsum(1).float() * mask)


def lasttoken(hidden: Tensor, mask: Tensor) -> Tensor:
    """State of the last masked position."""
    return _at(hidden, mask.long().cumsum(1).argmax(1), mask)


def cls(hidden: Tensor, mask: Tensor) -> Tensor:
    """State of the first masked position."""
    return _at(hidden, mask.long().argmax(1), mask)


def maximum(hidden: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each dimension over the masked positions."""
    largest = hidden.float().masked_fill(~mask[..., None], float("-inf")).amax(1)
    return largest.masked_fill(~mask.any(1, keepdim=True), 0.0)


def _weighted(hidden: Tensor, weights: Tensor) -> Tensor:
    """Sum of (batch, seq, dim) states with (batch, seq) weights, divided by the sum of the weights (at least 1)."""
    total = (weights[:, None] @ hidden.float()).squeeze(1)
    return total / weights.sum(1, keepdim=True).clamp(min=1)


def _at(hidden: Tensor, position: Tensor, mask: Tensor) -> Tensor:
    """State at one position of each row, zero where the row's mask is empty."""
    # `take_along_dim` would fix the shapes of an exported graph.
    state = hidden.gather(1, position[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1).float()
    return state.masked_fill(~mask.any(1, keepdim=True), 0.0)


@dataclass(frozen=True)
class PoolingMethod:
    """A pooling function and what it needs.

    Attributes:
        pool: the function.
        mode: its name in sentence-transformers' `Pooling` module.
        legacy_key: its key in the configuration of sentence-transformers before version 5.
        needs_eos: the sequence must end in an end-of-text token, which is appended for it.
        reads_last: it reads nothing but the last masked position.
        trainable: it has weights of its own, which a standard folder cannot hold.
    """

    pool: Pool
    mode: str
    legacy_key: str
    needs_eos: bool = False
    reads_last: bool = False
    trainable: bool = False


POOLINGS: dict[str, PoolingMethod] = {
    "mean": PoolingMethod(mean, "mean", "mean_tokens"),
    "lasttoken": PoolingMethod(lasttoken, "lasttoken", "lasttoken", reads_last=True),
    "eos": PoolingMethod(lasttoken, "lasttoken", "lasttoken", needs_eos=True, reads_last=True),
    "max": PoolingMethod(maximum, "max", "max_tokens"),
    "weightedmean": PoolingMethod(weightedmean, "weightedmean", "weightedmean_tokens"),
    "cls": PoolingMethod(cls, "cls", "cls_token"),
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
    def parse(cls, pooling: str | Pooling) -> Pooling:
        """Read `mean`, `lasttoken`, …, or `mean:text` for the text's own tokens.

        Raises:
            RequestError: an unknown name or range of positions.
        """
        if isinstance(pooling, Pooling):
            return pooling
        name, _, over = pooling.lower().partition(":")
        if name not in POOLINGS:
            raise RequestError(unknown_name("pooling", name, POOLINGS))
        if over not in ("", "sequence", "text"):
            raise RequestError(unknown_name("range to pool over", over, ["sequence", "text"]))
        if POOLINGS[name].needs_eos and over == "text":
            raise RequestError(
                f"{name} pooling reads the end-of-text token, which is not part of the text: use {name!r}"
            )
        return cls(name, "text" if over == "text" else "sequence")

    @property
    def spec(self) -> str:
        """The string that `parse` reads."""
        return self.name if self.over == "sequence" else f"{self.name}:{self.over}"

    @property
    def method(self) -> PoolingMethod:
        """The function and what it needs."""
        return POOLINGS[self.name]

    @property
    def needs_eos(self) -> bool:
        """Whether it reads an end-of-text token, which is appended for it."""
        return self.method.needs_eos

    @property
    def reads_last(self) -> bool:
        """Whether it reads only the last token of the whole sequence."""
        return self.method.reads_last and self.over == "sequence"

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, seq, dim) and (batch, seq) → (batch, dim) float32."""
        return self.method.pool(hidden, mask)
