"""Forecast of a training run, logged before its first step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import torch

from lastword.console import duration, info
from lastword.embedding.tokens import Batch
from lastword.training.checkpoints import checkpoint_steps
from lastword.training.gradcache import largest
from lastword.training.loop import Loop

_COUNTED_STEPS = 8


@dataclass(frozen=True)
class TokenSeconds:
    """Time that a token of the training texts takes, measured.

    Attributes:
        forward: without a graph, as GradCache computes it first.
        both: forward and backward.
        lower: below the adapted layers; 0 where all are adapted, since the others then have it.
    """

    forward: float
    both: float
    lower: float = 0.0

    def of_step(self, tokens: float, stored_share: float, lower_share: float = 0.0) -> float:
        """Seconds of a step.

        Args:
            tokens: of the step.
            stored_share: share of them whose activations are stored; the others have a forward pass more.
            lower_share: share of them whose states below the adapted layers are not kept from an earlier step.
        """
        return tokens * (self.both + (1 - stored_share) * self.forward + lower_share * self.lower)


@dataclass(frozen=True)
class StepWork:
    """What the first steps of a run have to do.

    Attributes:
        parts: of the first step, as they are embedded.
        texts: of a step, on average.
        tokens: of a step, on average, template included.
        negatives: other positives and hard negatives that each anchor is compared with.
        truncated_share: share of the texts that are truncated to `max_tokens`.
    """

    parts: list[Batch]
    texts: float
    tokens: float
    negatives: int
    truncated_share: float


@dataclass(frozen=True)
class Plan:
    """Forecast of a training run.

    Attributes:
        trainable: trainable parameters.
        frozen: frozen parameters.
        pairs: pairs trained on.
        negatives_per_anchor: other positives and hard negatives that each anchor is compared with.
        max_tokens: longest training sequence, template included.
        truncated_share: share of the texts that are truncated to `max_tokens`.
        tokens_per_step: mean tokens per step, template included, padding excluded.
        stored_share: share of the tokens of a step whose activations are stored; those of the others are
            computed twice (GradCache).
        graph_gib: memory for activations, GiB.
        lower_share: share of the tokens of all steps whose states below the adapted layers are computed; those of
            the others are kept from an earlier step. 0 where all layers are adapted.
        seconds: estimated time of the steps that are left, and of scoring their checkpoints.
    """

    trainable: int
    frozen: int
    pairs: int
    negatives_per_anchor: int
    max_tokens: int
    truncated_share: float
    tokens_per_step: int
    stored_share: float
    graph_gib: float
    lower_share: float
    seconds: float

    def log(self) -> None:
        """Log the forecast in three lines."""
        share, repeated = self.trainable / (self.trainable + self.frozen), 1 - self.stored_share
        memory = (
            f"GradCache: {repeated:.0%} of the activations computed twice, the others in {self.graph_gib:.1f} GiB"
            if repeated
            else f"activations stored, at most {self.graph_gib:.1f} GiB"
        )
        info(
            f"training {self.trainable:,} adapter weights ({share:.1%} of the model) on {self.pairs:,} pairs"
        )
        info(
            f"{self.negatives_per_anchor} negatives per anchor; {self.tokens_per_step:,} tokens per step; {memory}"
        )
        info(
            f"{self.truncated_share:.1%} of the texts are truncated to {self.max_tokens} tokens (max_tokens); about "
            f"{duration(self.seconds)} of training"
        )


def make_plan(loop: Loop, scoring_s: float = 0.0) -> Plan:
    """Count the texts and tokens of a few steps, and time a part of the first step.

    Args:
        loop: the run.
        scoring_s: time of one score, in seconds.
    """
    model, config, work = loop.pipeline.backbone.model.train(), loop.config, step_work(loop)
    loop.memory.measure(loop.embed, largest(work.parts))
    timed = token_seconds(loop, work.parts)
    stored_share = loop.memory.stored_share(work.parts)
    epochs = config.steps * min(config.batch_pairs, len(loop.objective)) / len(loop.objective)
    lower_share = (
        loop.lower.computed_share(epochs, work.tokens * config.steps / epochs) if loop.lower else 0.0
    )
    done, _ = loop.checkpoints.latest()
    scorings = sum(step > done for step in checkpoint_steps(config.steps))
    processes = loop.accelerator.num_processes
    trainable = sum(parameter.numel() for parameter in loop.parameters)
    return Plan(
        trainable=trainable,
        frozen=sum(parameter.numel() for parameter in model.parameters()) - trainable,
        pairs=len(loop.objective),
        negatives_per_anchor=work.negatives,
        max_tokens=config.max_tokens,
        truncated_share=work.truncated_share,
        tokens_per_step=round(work.tokens),
        stored_share=stored_share,
        graph_gib=loop.memory.limit_bytes / 2**30,
        lower_share=lower_share,
        seconds=(config.steps - done) * timed.of_step(work.tokens / processes, stored_share, lower_share)
        + scorings * scoring_s,
    )


def step_work(loop: Loop) -> StepWork:
    """Tokenize the texts of the first steps."""
    steps = [loop.objective.step(number) for number in range(min(loop.config.steps, _COUNTED_STEPS))]
    sequences = loop.pipeline.tokenize([text for step in steps for text in step.texts])
    texts, tokens = len(sequences.ids), sum(map(len, sequences.ids))
    negatives = max(step.negatives for step in steps)
    parts = loop.parts(steps[0].texts)
    return StepWork(parts, texts / len(steps), tokens / len(steps), negatives, sequences.truncated / texts)


def token_seconds(loop: Loop, parts: list[Batch]) -> TokenSeconds:
    """Time the part that has the middle token of the step; the gradients are discarded."""
    totals = list(accumulate(part.tokens for part in parts))
    part = next(part for part, total in zip(parts, totals, strict=True) if 2 * total >= totals[-1])
    lower = loop.lower
    with torch.no_grad():
        forward = _seconds(loop, lambda: loop.embed(part))
        below = _seconds(loop, lambda: lower.path.lower(part, lower.layer)) if lower else 0.0
    both = _seconds(loop, lambda: loop.embed(part).sum().backward())  # type: ignore[no-untyped-call]
    loop.optimizer.zero_grad(set_to_none=True)
    return TokenSeconds(forward / part.tokens, both / part.tokens, below / part.tokens)


def _seconds(loop: Loop, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    if loop.pipeline.backbone.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
