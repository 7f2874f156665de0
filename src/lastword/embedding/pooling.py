"""Hidden states to one vector: pure functions of the states and a mask of the positions that count.

A pooling never reads padding, so neither its side nor its amount can change a vector. Where the mask is
empty (an empty text, pooled over the text alone) the vector is zero.

This file does not import torch: names are checked before it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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

    Source: SGPT, arXiv:2202.08904. The weights count real tokens, not columns.
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


def latent(hidden: Tensor, mask: Tensor) -> Tensor:
    """What trained queries attend to: the model's own `LatentPooling` computes it, see `latent_pooling.py`."""
    raise RequestError("latent pooling has weights: call that of the model")


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
        trainable: it has weights of its own, which are trained with the model and stored in its folder.
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
    "latent": PoolingMethod(latent, "latent", "latent", trainable=True),
}
PLAIN = {name: method for name, method in POOLINGS.items() if not method.trainable}
"""Those that any model has."""
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Poolings in the order in which every version of sentence-transformers concatenates them."""

Over = Literal["sequence", "text"]


@dataclass(frozen=True)
class Pooling:
    """Which pooling, over which positions, of the mean of how many hidden states, and what is appended to its vector.

    Source: averages of the last layers as in BERT-flow, arXiv:2011.05864; weights from attention as in Ditto,
    arXiv:2305.10786.

    Attributes:
        name: one of `POOLINGS`.
        over: "sequence" pools over template and text, "text" over the text's own tokens only.
        layers: number of hidden states whose mean is pooled: the pooled layer and those below it.
        ditto: weigh each position by its attention to itself in the first layer; for `mean` alone.
        also: further poolings; the vector is the concatenation of all.
    """

    name: str
    over: Over = "sequence"
    layers: int = 1
    ditto: bool = False
    also: tuple[Pooling, ...] = ()

    @classmethod
    def parse(cls, pooling: str | Pooling) -> Pooling:
        """Read `mean`, `lasttoken`, …; `mean:text` for the text's own tokens; `mean:4layers` for the mean of four
        hidden states; `mean:ditto` for weights from attention; `mean+lasttoken` for a concatenation.

        Raises:
            RequestError: an unknown name or range of positions, or a pooling that is appended to itself.
        """
        if isinstance(pooling, Pooling):
            return pooling
        if not isinstance(pooling, str):
            raise RequestError(unknown_name("pooling", pooling, POOLINGS))
        first, *also = [cls._of_string(part.strip()) for part in pooling.lower().split("+")]
        if also and any(part.method.trainable for part in (first, *also)):
            raise RequestError(
                f"pooling {pooling!r}: a pooling with weights of its own stands alone; use 'latent'"
            )
        if repeated := [part.spec for part in (first, *also) if (first, *also).count(part) > 1]:
            raise RequestError(f"pooling {pooling!r} has {repeated[0]!r} twice: leave one out")
        return replace(first, also=tuple(also))

    @classmethod
    def _of_string(cls, pooling: str) -> Pooling:
        name, *ranges = pooling.split(":")
        if name not in POOLINGS:
            raise RequestError(unknown_name("pooling", name, POOLINGS))
        layers = 1
        numbers = [word for word in ranges if re.fullmatch(r"[1-9]\d{0,3}layers", word)]
        if len(numbers) > 1:
            raise RequestError(f"pooling {pooling!r} has {len(numbers)} numbers of layers: give one")
        if numbers:
            layers = int(numbers[0].removesuffix("layers"))
            ranges.remove(numbers[0])
        if ditto := "ditto" in ranges:
            ranges.remove("ditto")
            if name != "mean":
                raise RequestError(f"pooling {pooling!r}: ditto weighs a mean; use 'mean:ditto'")
        over = ranges[0] if ranges else ""
        if over not in ("", "sequence", "text") or len(ranges) > 1:
            raise RequestError(
                unknown_name("range to pool over", ":".join(ranges), ["sequence", "text", "4layers", "ditto"])
            )
        if POOLINGS[name].needs_eos and over == "text":
            raise RequestError(
                f"{name} pooling reads the end-of-text token, which is not part of the text: use {name!r}"
            )
        return cls(name, "text" if over == "text" else "sequence", layers, ditto)

    @property
    def parts(self) -> tuple[Pooling, ...]:
        """The poolings whose vectors are concatenated."""
        return (replace(self, also=()), *self.also)

    @property
    def spec(self) -> str:
        """The string that `parse` reads."""
        if self.also:
            return "+".join(part.spec for part in self.parts)
        over = "" if self.over == "sequence" else f":{self.over}"
        layers = "" if self.layers == 1 else f":{self.layers}layers"
        return f"{self.name}{over}{layers}{':ditto' if self.ditto else ''}"

    @property
    def method(self) -> PoolingMethod:
        """The function and what it needs; of a concatenation, those of the first part."""
        return POOLINGS[self.name]

    @property
    def needs_eos(self) -> bool:
        """Whether it reads an end-of-text token, which is appended for it."""
        return any(part.method.needs_eos for part in self.parts)

    @property
    def reads_last(self) -> bool:
        """Whether it reads only the last token of the whole sequence, in one layer."""
        return self.method.reads_last and self.over == "sequence" and self.layers == 1 and not self.also

    @property
    def trainable(self) -> bool:
        """Whether it has weights of its own; it stands alone then."""
        return self.method.trainable

    def __call__(self, hidden: Tensor, mask: Tensor, trained: Pool | None = None) -> Tensor:
        """(batch, seq, dim) and (batch, seq) → (batch, dim) float32, for each part one after another.

        Args:
            hidden, mask: states, and the positions that count.
            trained: what pools in place of a method with weights of its own.
        """
        if trained is not None and self.trainable:
            return trained(hidden, mask)
        return joined([POOLINGS[part.name].pool(hidden, mask) for part in self.parts])


def joined(vectors: Sequence[Tensor]) -> Tensor:
    """(batch, dim) vectors of poolings, side by side."""
    import torch  # this file is read without it

    return vectors[0] if len(vectors) == 1 else torch.cat(list(vectors), dim=-1)
