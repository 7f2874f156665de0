"""Scores with known values and errors, and rows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lastword.demonstration.result import DemoResult, ScoreRow
from lastword.uncertainty import HALVES, Score

SETTINGS = {"tfidf": (None, None), "zero-shot": ("none", "mean"), "adapted": ("ccw", "lasttoken")}


def score(value: float, spread: float = 0.0, dataset: str = "products") -> Score:
    """A V-measure whose value on random halves of the texts varies by `spread`."""
    halves = value + spread * np.random.default_rng(round(1000 * value)).normal(size=HALVES)
    return Score(
        metric="v_measure",
        value=value,
        draws=(value, value),
        resamples=tuple((half,) for half in halves.tolist()),
        n=100,
        sample=dataset,
        chance=0.172,
        ami=value - 0.1,
    )


def row(
    model: str, *values: float, spread: float = 0.0, dataset: str = "products", **changes: Any
) -> ScoreRow:
    """A row with a score for each value, which stand for training seeds."""
    template, pooling = SETTINGS[model]
    facts = {"split": "test", "template": template, "pooling": pooling, **changes}
    sample = f"{dataset} {facts['split']}"
    scores = tuple(score(value, spread, sample) for value in values)
    return ScoreRow(dataset=dataset, model=model, scores=scores, **facts)


def result(*rows: ScoreRow, **changes: Any) -> DemoResult:
    """A result with these scores."""
    facts: dict[str, Any] = {
        "output": Path("lastword-demo"),
        "model": "mini",
        "template": "ccw",
        "pooling": "lasttoken",
        "layer": None,
        "steps": 10,
        "pairs": 2400,
        "seconds": 200.0,
        "peak_memory_mb": 2210,
        "threads": 2,
        "versions": {"lastword": "0.1.0", "torch": "2.13.0"},
    }
    return DemoResult(**{**facts, "scores": rows, **changes})
