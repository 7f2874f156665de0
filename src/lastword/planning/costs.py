"""What a token costs, measured on two depths of a model's shape and extrapolated to all its layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from lastword.embedding import Embedder
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.tokens import Sequences, tokenize

_ROUNDS_S = 1.5
_MOST_ROUNDS = 7
LENGTHS = (64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Linear:
    """A cost that grows with the number of layers.

    Attributes:
        fixed: what does not depend on the layers.
        each: of one layer.
    """

    fixed: float
    each: float

    @classmethod
    def through(cls, costs: Mapping[int, float]) -> Linear:
        """The line through two measured depths."""
        (few, low), (more, high) = sorted(costs.items())
        each = max(0.0, (high - low) / (more - few))
        return cls(low - few * each, each)

    def at(self, layers: int) -> float:
        """The cost of so many layers."""
        return max(0.0, self.fixed + layers * self.each)


def timed(works: Mapping[int, Callable[[], float]]) -> dict[int, float]:
    """Time of each of several works, the median of interleaved rounds.

    Args:
        works: key → does the work once and returns its seconds; the first call warms up.
    """
    for work in works.values():
        work()
    seconds: dict[int, list[float]] = {key: [] for key in works}
    started = time.perf_counter()
    for number in range(_MOST_ROUNDS):
        if number > 1 and time.perf_counter() - started > _ROUNDS_S:
            break
        for key, work in works.items():
            seconds[key].append(work())
    return {key: median(values) for key, values in seconds.items()}


def seconds_of_embedding(
    embedders: Mapping[int, Embedder], sequences: Sequences, batch_tokens: int | None
) -> Linear:
    """Seconds that a token takes in the forward pass, by the number of layers."""

    def work(embedder: Embedder) -> Callable[[], float]:
        pipeline = embedder.pipeline
        batches = list(pipeline.batches(sequences, batch_tokens))

        @torch.inference_mode()
        def once() -> float:
            started = time.perf_counter()
            for batch in batches:
                pipeline.vectors(batch)
            return time.perf_counter() - started

        return once

    tokens = sum(map(len, sequences.ids))
    seconds = timed({layers: work(embedder) for layers, embedder in embedders.items()})
    return Linear.through({layers: value / tokens for layers, value in seconds.items()})


def whole_lengths(pipeline: Pipeline, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, template included, none truncated: counted up to one more than any length of interest."""
    compiled = pipeline.compile(pipeline.spec.pooling.needs_eos)
    most = max(pipeline.backbone.positions, LENGTHS[-1]) + 1
    endless = replace(compiled, max_tokens=most)
    return [len(ids) for ids in tokenize(texts, endless, pipeline.tokenizer).ids]


def truncated_shares(lengths: Sequence[int], max_tokens: int, longest: int) -> dict[int, float]:
    """Longest sequence in tokens → share of the texts that it would truncate: the run's, and all that truncate any.

    Args:
        lengths: tokens of each text, template included, none truncated.
        max_tokens: the longest sequence of the run.
        longest: the longest sequence that the model takes.
    """
    others = {most for most in LENGTHS if most <= min(longest, max(lengths) - 1)}
    return {
        most: sum(length > most for length in lengths) / len(lengths)
        for most in sorted(others | {max_tokens})
    }
