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
import torch
from torch import Tensor

from lastword.augment import noisy
from lastword.config import TrainConfig
from lastword.console import warn
from lastword.embedding import Embedder
from lastword.files.sources import Source
from lastword.training.guide import Guide
from lastword.training.losses import LOSSES, Loss, Targets, at_widths, false_negatives, with_teacher
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.vectors import TextVectors


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

    def read(self, files: Sequence[Source], *, drop_empty: bool, graded: bool = False) -> Pairs:
        """The pairs in the files."""

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """The embedder as it is scored and stored, and as it is trained; weights are shared."""

    def objective(
        self,
        pairs: Pairs,
        config: TrainConfig,
        guide: Guide | None = None,
        teacher: TextVectors | None = None,
    ) -> Objective:
        """What is minimised; guide and teacher, if the settings name them, are not there before the model is loaded."""


@dataclass(frozen=True)
class PairStep:
    """Anchors, their positives and hard negatives.

    Attributes:
        texts: n anchors, then m candidates: the n positives and the hard negatives.
        owners: for each candidate the anchor that it belongs to.
        targets: what the loss knows beside the vectors; `excluded` is (n, m).
        loss: function in `LOSSES`, perhaps at several widths.
    """

    texts: list[str]
    owners: list[int]
    targets: Targets
    loss: Loss

    @property
    def negatives(self) -> int:
        """Most negatives of an anchor; of a graded pair, most pairs of another score."""
        if self.targets.scores is not None:
            return int((self.targets.scores[:, None] != self.targets.scores[None]).sum(1).max())
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
        config: batch_pairs, mixing, loss, widths, temperatures, noise and seed count.
        guide: tells further false negatives; by the texts before the noise.
        teacher: its similarities are learned too; of the texts before the noise.
    """

    pairs: Pairs
    config: TrainConfig
    guide: Guide | None = None
    teacher: TextVectors | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def step(self, number: int) -> PairStep:
        """The pairs of a step; repeated texts are excluded from the negatives."""
        config = self.config
        order = (config.batch_pairs, number, config.seed)
        by_file = config.mixing == "by_file"
        rows = step_rows_of_one_file(self.pairs.files, *order) if by_file else step_rows(len(self), *order)
        batch = self.pairs.take(rows)
        owners = [*range(len(batch)), *(i for i, texts in enumerate(batch.negatives) for _ in texts)]
        hard = [text for texts in batch.negatives for text in texts]
        sides = batch.anchors, batch.positives + hard
        excluded = false_negatives(*sides)
        if self.guide:
            excluded |= self.guide.excluded(*sides)
        positives = [self._augmented(text, number, i) for i, text in enumerate(batch.positives)]
        scores = torch.tensor(batch.scores) if config.graded else None
        taught = self.teacher.cosines(*sides) if self.teacher else None
        loss = (
            with_teacher(LOSSES[config.loss], config.teacher_weight) if self.teacher else LOSSES[config.loss]
        )
        targets = Targets(self._temperature(batch), excluded, scores, taught)
        return PairStep(batch.anchors + positives + hard, owners, targets, at_widths(loss, config.widths))

    def _temperature(self, batch: Pairs) -> float | Tensor:
        of_file = self.config.temperatures
        return torch.tensor([of_file[file] for file in batch.files]) if of_file else self.config.temperature

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

    def read(self, files: Sequence[Source], *, drop_empty: bool, graded: bool = False) -> Pairs:
        """The pairs in the files."""
        return read_pairs(files, drop_empty=drop_empty, graded=graded)

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """The embedder, and the same for the length of the training sequences."""
        return embedder, embedder.variant(max_tokens=min(max_tokens, embedder.pipeline.max_tokens))

    def objective(
        self,
        pairs: Pairs,
        config: TrainConfig,
        guide: Guide | None = None,
        teacher: TextVectors | None = None,
    ) -> Objective:
        """The loss of the settings over the pairs."""
        changed = config.dropout or config.noise or config.graded or config.teacher
        if guide is None and not changed and pairs.anchors == pairs.positives:
            warn(
                "both sides of every pair are the same text: only dropout above 0, or noise, makes them differ"
            )
        return PairObjective(pairs, config, guide, teacher)


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


def step_rows_of_one_file(files: Sequence[int], batch_pairs: int, step: int, seed: int) -> list[int]:
    """Rows of the pairs of one step, all of the same file: an epoch has all full batches of all files in random order.

    Args:
        files: number of the file of each of n pairs.
        batch_pairs, step, seed: as for `step_rows`; at most all pairs of a file are taken.
    """
    groups = [np.flatnonzero(np.asarray(files) == file) for file in np.unique(files)]
    counts = [len(group) // min(batch_pairs, len(group)) for group in groups]
    epoch, number = divmod(step, sum(counts))
    order = np.random.default_rng([seed, epoch]).permutation(np.repeat(np.arange(len(groups)), counts))
    group = order[number]
    earlier = epoch * counts[group] + int((order[:number] == group).sum())  # batches of this file
    rows = step_rows(len(groups[group]), batch_pairs, earlier, seed)
    return [int(row) for row in groups[group][rows]]
