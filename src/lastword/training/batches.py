"""Which pairs make which step: a pure function of seed and step, so that a resumed run sees the same."""

from __future__ import annotations

import numpy as np


def step_rows(n: int, batch_pairs: int, step: int, seed: int) -> list[int]:
    """Rows of the pairs of one step: each epoch is a new permutation, its incomplete rest is left out.

    Args:
        n: number of pairs.
        batch_pairs: pairs in a step; at most n are taken.
        step: counted from 0.
        seed: decides every permutation.
    """
    size = min(batch_pairs, n)
    epoch, place = divmod(step, n // size)
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return [int(row) for row in order[place * size : (place + 1) * size]]


def checkpoint_steps(steps: int) -> list[int]:
    """Steps after which a checkpoint is kept: dense at first, where a few steps change much; the last always.

    >>> checkpoint_steps(160)
    [10, 20, 40, 60, 100, 150, 160]
    """
    dense = [10, 20, 40, 60, 100, 150, 200, 300, 400, 500, 750]
    sparse = range(1000, steps + 1, 500)
    return sorted({step for step in (*dense, *sparse) if step < steps} | {steps})


def learning_rate_factor(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """Share of the peak learning rate at a step, counted from 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    if schedule == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + float(np.cos(np.pi * progress))) if schedule == "cosine" else 1.0
