"""What a training will do, said before its first step."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn

from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding import Embedder
from lastword.embedding.tokens import Batch
from lastword.training.gradcache import Embed, StepMemory
from lastword.training.objectives import Objective

_COUNTED_STEPS = 8


@dataclass(frozen=True)
class Plan:
    """Forecast of a training.

    Attributes:
        trainable: trainable parameters.
        frozen: frozen parameters.
        pairs: pairs trained on.
        negatives_per_anchor: other positives (and hard negatives) that each anchor is told from.
        cut_share: share of texts that lose their end.
        tokens_per_step: mean tokens of a step, template included, padding not.
        kept_share: share of a step's tokens whose activations are kept; the others' are computed twice
            (GradCache).
        seconds: estimated time of all steps.
    """

    trainable: int
    frozen: int
    pairs: int
    negatives_per_anchor: int
    cut_share: float
    tokens_per_step: int
    kept_share: float
    seconds: float

    def say(self) -> None:
        """Tell it to the user."""
        share = self.trainable / (self.trainable + self.frozen)
        how = (
            "activations kept"
            if self.kept_share == 1
            else f"GradCache: {1 - self.kept_share:.0%} of the activations computed twice"
        )
        info(
            f"training {self.trainable:,} adapter weights ({share:.1%} of the model) on {self.pairs:,} pairs"
        )
        info(
            f"{self.negatives_per_anchor} negatives per anchor; {self.tokens_per_step:,} tokens a step; {how}"
        )
        info(f"{self.cut_share:.1%} of the texts are cut; about {clock(self.seconds)} of training")


def clock(seconds: float) -> str:
    """Seconds for people: '45 s', '3 min 20 s', '2 h 05 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def make_plan(
    embedder: Embedder,
    objective: Objective,
    config: TrainConfig,
    parameters: list[nn.Parameter],
    first: list[Batch],
    embed: Embed,
    memory: StepMemory,
) -> Plan:
    """Count what can be counted and time one part of the first step forward and backward."""
    steps = [objective.step(number) for number in range(min(config.steps, _COUNTED_STEPS))]
    sequences = embedder.tokenize([text for step in steps for text in step.texts])
    tokens = sum(len(ids) for ids in sequences.ids) / len(steps)
    seconds_per_token = _timed(embed, first, parameters, memory)
    kept_share = memory.kept_share(first)
    trainable = sum(parameter.numel() for parameter in parameters)
    return Plan(
        trainable=trainable,
        frozen=sum(p.numel() for p in embedder.backbone.model.parameters()) - trainable,
        pairs=len(objective),
        negatives_per_anchor=max(step.negatives for step in steps),
        cut_share=sequences.cut / len(sequences.ids),
        tokens_per_step=round(tokens),
        kept_share=kept_share,
        seconds=config.steps * tokens * seconds_per_token * (1.33 - 0.33 * kept_share),
    )


def _timed(embed: Embed, parts: list[Batch], parameters: list[nn.Parameter], memory: StepMemory) -> float:
    """Seconds per token of one forward and backward pass; the gradients are thrown away."""
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
