"""Forecast of a training run, logged before its first step."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from lastword.console import duration, info
from lastword.embedding.tokens import Batch
from lastword.training.loop import Loop

_COUNTED_STEPS = 8


@dataclass(frozen=True)
class Plan:
    """Forecast of a training run.

    Attributes:
        trainable: trainable parameters.
        frozen: frozen parameters.
        pairs: pairs trained on.
        negatives_per_anchor: other positives and hard negatives that each anchor is compared with.
        truncated_share: share of the texts that are truncated to `max_tokens`.
        tokens_per_step: mean tokens per step, template included, padding excluded.
        stored_share: share of the tokens of a step whose activations are stored; those of the others are
            computed twice (GradCache).
        seconds: estimated time of all steps.
    """

    trainable: int
    frozen: int
    pairs: int
    negatives_per_anchor: int
    truncated_share: float
    tokens_per_step: int
    stored_share: float
    seconds: float

    def log(self) -> None:
        """Log the forecast in three lines."""
        share, repeated = self.trainable / (self.trainable + self.frozen), 1 - self.stored_share
        memory = (
            f"GradCache: {repeated:.0%} of the activations computed twice"
            if repeated
            else "activations stored"
        )
        info(
            f"training {self.trainable:,} adapter weights ({share:.1%} of the model) on {self.pairs:,} pairs"
        )
        info(
            f"{self.negatives_per_anchor} negatives per anchor; {self.tokens_per_step:,} tokens per step; {memory}"
        )
        info(
            f"{self.truncated_share:.1%} of the texts are truncated; about {duration(self.seconds)} of training"
        )


def make_plan(loop: Loop) -> Plan:
    """Count the texts and tokens of a few steps, and time one part of the first step forward and backward."""
    model = loop.pipeline.backbone.model.train()
    steps = [loop.objective.step(number) for number in range(min(loop.config.steps, _COUNTED_STEPS))]
    sequences = loop.pipeline.tokenize([text for step in steps for text in step.texts])
    tokens = sum(len(ids) for ids in sequences.ids) / len(steps)
    parts = loop.parts(steps[0].texts)
    seconds_per_token = _timed(loop, parts)
    stored_share = loop.memory.stored_share(parts)
    trainable = sum(parameter.numel() for parameter in loop.parameters)
    return Plan(
        trainable=trainable,
        frozen=sum(parameter.numel() for parameter in model.parameters()) - trainable,
        pairs=len(loop.objective),
        negatives_per_anchor=max(step.negatives for step in steps),
        truncated_share=sequences.truncated / len(sequences.ids),
        tokens_per_step=round(tokens),
        stored_share=stored_share,
        seconds=loop.config.steps * tokens * seconds_per_token * (1.33 - 0.33 * stored_share),
    )


def _timed(loop: Loop, parts: list[Batch]) -> float:
    """Seconds per token of one forward and backward pass; the gradients are discarded."""
    loop.memory.measure(loop.embed, parts[-1])
    part = parts[len(parts) // 2]
    started = time.perf_counter()
    loop.embed(part).sum().backward()  # type: ignore[no-untyped-call]
    if part.input_ids.is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    loop.optimizer.zero_grad(set_to_none=True)
    return seconds / part.tokens
