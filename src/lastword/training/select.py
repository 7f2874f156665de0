"""Which checkpoint is kept: the best by a development score, never by a test set.

The score is a function the caller hands in (such as V-measure on labelled development texts). Without
one, held-out pairs decide, which needs no labels: how high does the positive rank among the positives
of all other held-out anchors?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lastword.console import progress
from lastword.embedding import Embedder
from lastword.training.adapter import load_adapter
from lastword.training.pairs import Pairs


class Scorer(Protocol):
    """A development score; higher is better.

    Attributes:
        criterion: what it measures and on what, in a few words.
    """

    criterion: str

    def __call__(self, embedder: Embedder) -> float:
        """Score the embedder as it is."""
        ...


@dataclass(frozen=True)
class Selection:
    """The choice and what it rests on.

    Attributes:
        criterion: what was measured.
        step: the step that was kept.
        score: its score.
        scores: step → score; step 0 is the model before training.
    """

    criterion: str
    step: int
    score: float
    scores: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {**asdict(self), "scores": {str(step): score for step, score in self.scores.items()}}


class HeldOutPairs:
    """Mean reciprocal rank of each held-out positive among all of them, given its anchor."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.criterion = f"mean reciprocal rank on {len(pairs)} held-out pairs"

    def __call__(self, embedder: Embedder) -> float:
        """Score from 0 to 1."""
        anchors = embedder.encode(self.pairs.anchors, normalize=True)
        positives = embedder.encode(self.pairs.positives, normalize=True)
        similarity = anchors @ positives.T
        rank = (similarity >= np.diag(similarity)[:, None]).sum(1)
        return float((1.0 / rank).mean())


def choose(
    embedder: Embedder, checkpoints: Sequence[tuple[int, Path]], scorer: Scorer, base_score: float
) -> Selection:
    """Score every checkpoint, adapters swapped in place, and leave the best one in the model.

    Args:
        embedder: the model with its adapter.
        checkpoints: (step, folder) in order of steps.
        scorer: the development score.
        base_score: its value before training, for the record; the base model is no candidate.
    """
    scores = {0: base_score}
    with progress("scoring checkpoints", len(checkpoints)) as advance:
        for step, folder in checkpoints:
            load_adapter(embedder.backbone.model, folder)
            scores[step] = scorer(embedder)
            advance(1)
    best = max((step for step, _ in checkpoints), key=lambda step: (scores[step], -step))
    load_adapter(embedder.backbone.model, dict(checkpoints)[best])
    return Selection(scorer.criterion, best, scores[best], scores)
