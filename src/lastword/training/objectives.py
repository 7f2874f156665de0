"""What a training run minimises: the texts of each step, and a loss of their vectors.

The training loop asks an `Objective` for a step and knows no loss, no augmentation and no kind of data. A
`Variant` replaces more than the objective: how pairs are read, and how the embedder is trained and stored.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from lastword.augment import noisy
from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.files.sources import Source
from lastword.training.losses import LOSSES, Loss, Targets, false_negatives
from lastword.training.pairs import Pairs, read_pairs


class Step(Protocol):
    """The texts of one optimizer step."""

    @property
    def texts(self) -> Sequence[str]:
        """The n texts to embed."""

    @property
    def negatives(self) -> int:
        """Most negatives that an anchor is compared with; 0 where there are none."""

    def loss_of(self, vectors: Tensor) -> Tensor:
        """Scalar loss of the vectors of the texts, (n, dim) float32, in their order."""


class Objective(Protocol):
    """Gives the steps of a training run; step k is the same whenever it is asked for."""

    def __len__(self) -> int:
        """Examples to train on."""

    def step(self, number: int) -> Step:
        """A step, counted from 0."""


class Variant(Protocol):
    """A way of training that differs from `Standard` by more than settings."""

    @property
    def record(self) -> dict[str, Any]:
        """What to write beside the settings: into the recipe, and compared when a run is resumed."""

    def read(self, files: Sequence[Source], *, drop_empty: bool) -> Pairs:
        """The pairs in the files."""

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """The embedder as it is scored and stored, and as it is trained; weights are shared."""

    def objective(self, pairs: Pairs, config: TrainConfig) -> Objective:
        """What is minimised."""


@dataclass(frozen=True)
class PairStep:
    """Anchors, their positives and hard negatives.

    Attributes:
        texts: n anchors, then m candidates: the n positives and the hard negatives.
        owners: for each candidate the anchor that it belongs to.
        targets: what the loss knows beside the vectors; `excluded` is (n, m).
        loss: function in `LOSSES`.
    """

    texts: list[str]
    owners: list[int]
    targets: Targets
    loss: Loss

    @property
    def negatives(self) -> int:
        """Most negatives of an anchor."""
        assert self.targets.excluded is not None
        return int((~self.targets.excluded).sum(1).max()) - 1

    def loss_of(self, vectors: Tensor) -> Tensor:
        """The loss of (n + m, dim) vectors."""
        n = len(self.texts) - len(self.owners)
        return self.loss(vectors[:n], vectors[n:], self.targets)


@dataclass(frozen=True)
class PairObjective:
    """Pairs in random order, with augmented positives and the loss of the settings.

    Attributes:
        pairs: to train on.
        config: batch_pairs, loss, temperature, noise and seed count.
    """

    pairs: Pairs
    config: TrainConfig

    def __len__(self) -> int:
        return len(self.pairs)

    def step(self, number: int) -> PairStep:
        """The pairs of a step; repeated texts are excluded from the negatives."""
        config = self.config
        batch = self.pairs.take(step_rows(len(self), config.batch_pairs, number, config.seed))
        owners = [*range(len(batch)), *(i for i, texts in enumerate(batch.negatives) for _ in texts)]
        hard = [text for texts in batch.negatives for text in texts]
        excluded = false_negatives(batch.anchors, batch.positives + hard)
        positives = [self._augmented(text, number, i) for i, text in enumerate(batch.positives)]
        targets = Targets(config.temperature, excluded)
        return PairStep(batch.anchors + positives + hard, owners, targets, LOSSES[config.loss])

    def _augmented(self, text: str, number: int, row: int) -> str:
        if not self.config.noise:
            return text
        return noisy(text, self.config.noise, random.Random(f"{self.config.seed}/{number}/{row}"))


@dataclass(frozen=True)
class Standard:
    """The way of training that the settings describe, and nothing else."""

    @property
    def record(self) -> dict[str, Any]:
        """Nothing beside the settings."""
        return {}

    def read(self, files: Sequence[Source], *, drop_empty: bool) -> Pairs:
        """The pairs in the files."""
        return read_pairs(files, drop_empty=drop_empty)

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """The embedder, and the same for the length of the training sequences."""
        return embedder, embedder.variant(max_tokens=min(max_tokens, embedder.pipeline.max_tokens))

    def objective(self, pairs: Pairs, config: TrainConfig) -> Objective:
        """The loss of the settings over the pairs."""
        return PairObjective(pairs, config)


def step_rows(n: int, batch_pairs: int, step: int, seed: int) -> list[int]:
    """Rows of the pairs of one step: each epoch is a new permutation, its incomplete rest is left out.

    A pure function of seed and step, so that a resumed run gets the same rows.

    Args:
        n: number of pairs.
        batch_pairs: pairs in a step; at most n are taken.
        step: counted from 0.
        seed: decides every permutation.
    """
    size = min(batch_pairs, n)
    epoch, batch = divmod(step, n // size)
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return [int(row) for row in order[batch * size : (batch + 1) * size]]
