"""Forecast of a training run, logged before its first step."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn

from lastword.config import TrainConfig
from lastword.console import duration, info
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.tokens import Batch
from lastword.training.gradcache import Embed, StepMemory
from lastword.training.objectives import Objective

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


def make_plan(
    pipeline: Pipeline,
    objective: Objective,
    config: TrainConfig,
    parameters: list[nn.Parameter],
    first: list[Batch],
    embed: Embed,
    memory: StepMemory,
) -> Plan:
    """Count the texts and tokens of a few steps, and time one part of the first step forward and backward."""
    steps = [objective.step(number) for number in range(min(config.steps, _COUNTED_STEPS))]
    sequences = pipeline.tokenize([text for step in steps for text in step.texts])
    tokens = sum(len(ids) for ids in sequences.ids) / len(steps)
    seconds_per_token = _timed(embed, first, parameters, memory)
    stored_share = memory.stored_share(first)
    trainable = sum(parameter.numel() for parameter in parameters)
    return Plan(
        trainable=trainable,
        frozen=sum(p.numel() for p in pipeline.backbone.model.parameters()) - trainable,
        pairs=len(objective),
        negatives_per_anchor=max(step.negatives for step in steps),
        truncated_share=sequences.truncated / len(sequences.ids),
        tokens_per_step=round(tokens),
        stored_share=stored_share,
        seconds=config.steps * tokens * seconds_per_token * (1.33 - 0.33 * stored_share),
    )


def _timed(embed: Embed, parts: list[Batch], parameters: list[nn.Parameter], memory: StepMemory) -> float:
    """Seconds per token of one forward and backward pass; the gradients are discarded."""
    memory.measure(embed, parts[-1])
    part = parts[len(parts) // 2]
    started = time.perf_counter()
    embed(part).sum().backward()  # type: ignore[no-untyped-call]
    if part.input_ids.is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    for parameter in parameters:
        parameter.grad = None
    return seconds / part.tokens
