"""As the paper's own code does it: what each switch changes in a training run, in scores and in averages.

For measuring what a defect costs, and for reproducing a published figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.embedding.template import SLOT, Template
from lastword.encoder import TextEncoder
from lastword.errors import RequestError
from lastword.evaluation import TaskScore
from lastword.files.sources import Source
from lastword.paper.left_assumed import LeftAssumed
from lastword.paper.switches import MICRO_BATCH, SWITCHES, TRAIN_TOKENS, checked_switches
from lastword.training.guide import Guide
from lastword.training.losses import Loss, Targets
from lastword.training.objectives import Objective, PairObjective, PairStep
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.vectors import TextVectors

# Template → its wordings in training and in evaluation. Source: finetuning/settings.py:4-18 and
# benchmark/benchmark.py:17-30 of the paper's code; ke is only in the first file and question only in the second.
WORDINGS = {
    "none": ("{text}", "{text}"),
    "eol": ('This sentence : "{text}" means in one word:', 'This sentence: "{text}" means in one word:'),
    "pcot": (
        'After thinking step by step, this sentence : "{text}" means in one word:',
        'After thinking step by step, this sentence: "{text}" means in one word',
    ),
    "sum": ('This sentence : "{text}" can be summarized as', 'This sentence: "{text}" can be summarized as'),
    "ccw": (
        'This sentence : "{text}" belongs to the following cluster:',
        'This sentence: "{text}" belongs to the following cluster:',
    ),
    "ccp": ("Cluster the text: {text}", "Cluster the text: {text}"),
    "classify": (
        'This sentence : "{text}" can be classified as:',
        'This sentence : "{text}" can be classified as:',
    ),
}


@dataclass(frozen=True)
class AsPublished:
    """A `lastword.training.Variant` with the switches of the paper's code.

    Attributes:
        switches: names in `SWITCHES`, or "all".

    Raises:
        RequestError: an unknown name.
    """

    switches: tuple[str, ...]

    def __post_init__(self) -> None:
        checked_switches(self.switches)

    def __str__(self) -> str:
        names = checked_switches(self.switches)
        idle = [name for name in names if SWITCHES[name].where != "training"]
        note = f" ({' and '.join(idle)} changes nothing in training)" if idle else ""
        return f"as published: {', '.join(names)}{note}"

    def __contains__(self, name: str) -> bool:
        return name in checked_switches(self.switches)

    @property
    def record(self) -> dict[str, Any]:
        """The switches, for the recipe."""
        return {"as_published": list(self.switches)}

    def read(self, files: Sequence[Source], *, drop_empty: bool, graded: bool = False) -> Pairs:
        """The pairs in the files, with the column names of CSV files as a pair if so switched."""
        return read_pairs(files, drop_empty=drop_empty, header_rows="header_row=keep" in self, graded=graded)

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """The embedder as it is scored and stored, and as it is trained; weights are shared.

        Args:
            embedder: with the template of the settings.
            max_tokens: longest training sequence.

        Raises:
            RequestError: a template of which the paper's code has one wording only.
        """
        used, trained = embedder.spec.template, embedder.spec.template
        if "template=split" in self:
            trained, used = _wordings(embedder.spec.template)
        if "eos=space" in self and (used.eos or embedder.spec.pooling.needs_eos):
            used = replace(used, name="custom", suffix=used.suffix + " ")
        if "bos=eval-only" in self:
            trained = replace(trained, bos=False)
        in_training = embedder.variant(template=trained)
        if "train_tokens=100" in self:
            max_tokens = TRAIN_TOKENS + in_training.pipeline.compile(append_eos=False).length
        return embedder.variant(template=used), in_training.variant(
            max_tokens=min(max_tokens, embedder.pipeline.max_tokens)
        )

    def objective(
        self,
        pairs: Pairs,
        config: TrainConfig,
        guide: Guide | None = None,
        teacher: TextVectors | None = None,
    ) -> Objective:
        """The usual one, changed by negatives=micro and accumulation=sum."""
        micro, summed = "negatives=micro" in self, "accumulation=sum" in self
        return _MicroBatches(PairObjective(pairs, config, guide, teacher), micro, summed)


@dataclass(frozen=True)
class _MicroBatches:
    """Steps made of micro-batches: with anchors that meet only their own, or losses that are summed, or both."""

    inner: PairObjective
    apart: bool
    summed: bool

    def __len__(self) -> int:
        return len(self.inner)

    def step(self, number: int) -> PairStep:
        """The step as the paper's code computes it.

        The mean over all anchors of a loss without the candidates of other micro-batches is the mean of the
        losses of the micro-batches, each with the weight of its size.
        """
        step = self.inner.step(number)
        n = len(step.texts) - len(step.owners)
        if self.apart:
            assert step.targets.excluded is not None
            excluded = step.targets.excluded | apart(step.owners, n)
            step = replace(step, targets=replace(step.targets, excluded=excluded))
        if not self.summed:
            return step
        return replace(step, loss=summed(step.loss))


def summed(loss: Loss) -> Loss:
    """The sum of a loss of the anchors of each micro-batch, with the candidates of the whole step."""

    def of_step(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
        columns, losses = torch.arange(len(candidates)), []
        for rows in torch.split(torch.arange(len(anchors)), MICRO_BATCH):
            # the positives of the anchors come first, as a loss expects them
            order = torch.cat([rows, columns[: rows[0]], columns[rows[-1] + 1 :]])
            part = replace(
                targets,
                temperature=targets.temperature[rows]
                if isinstance(targets.temperature, Tensor)
                else targets.temperature,
                excluded=None if targets.excluded is None else targets.excluded[rows][:, order],
                scores=None if targets.scores is None else targets.scores[rows],
                taught=None if targets.taught is None else targets.taught[rows][:, order],
            )
            losses.append(loss(anchors[rows], candidates[order], part))
        return torch.stack(losses).sum()

    return of_step


def apart(owners: Sequence[int], n: int) -> Tensor:
    """Which candidates an anchor never meets, since they are in another micro-batch: (n, m) bool.

    `owners` has the anchor of each of m candidates.
    """
    anchors, candidates = torch.arange(n), torch.tensor(owners)
    return (anchors // MICRO_BATCH)[:, None] != (candidates // MICRO_BATCH)[None]


def scored_as_published(encoder: TextEncoder, switches: Sequence[str]) -> TextEncoder:
    """The model as the paper's code would score it; itself, if no switch changes its vectors.

    Args:
        encoder: a loaded model.
        switches: names in `SWITCHES`, or "all".

    Raises:
        RequestError: an unknown switch, or a model that is no decoder.
    """
    if all(SWITCHES[name].where != "evaluation" for name in checked_switches(switches)):
        return encoder
    if not isinstance(encoder, Embedder):
        raise RequestError(
            f"as_published={','.join(switches)!r}: only a decoder can be scored so; leave it out"
        )
    return LeftAssumed(encoder) if encoder.spec.pooling.reads_last else encoder


def published_average(tasks: Sequence[TaskScore], switches: Sequence[str]) -> float | None:
    """Mean over tasks as the paper's code takes it: only scores of a split called "test" count.

    Args:
        tasks: of a benchmark.
        switches: names in `SWITCHES`, or "all".

    Returns:
        None without average=test-only, or if no task has such a split.
    """
    if "average=test-only" not in checked_switches(switches):
        return None
    scores = [task.score.value for task in tasks for split in task.splits if split == "test"]
    return fmean(scores) if scores else None


def _wordings(template: Template) -> tuple[Template, Template]:
    """The template of training and the template of evaluation."""
    if template.name not in WORDINGS:
        raise RequestError(
            f"as_published='template=split': the paper's code has no two wordings of template {template.name!r}; "
            f"it has them of {', '.join(WORDINGS)}"
        )

    def worded(text: str) -> Template:
        prefix, _, suffix = text.partition(SLOT)
        return (
            template
            if text == template.text
            else replace(template, name="custom", prefix=prefix, suffix=suffix)
        )

    trained, used = map(worded, WORDINGS[template.name])
    return trained, used
