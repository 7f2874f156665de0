"""Which checkpoint is kept: the best by a development score, never by a test set.

The score is a function the caller hands in (such as V-measure on labelled development texts). Without
one, held-out pairs decide, which needs no labels: how high does the positive rank among the positives
of all other held-out anchors?
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from lastword.embedding import Embedder
from lastword.training.pairs import Pairs
from lastword.uncertainty import Score

Measured = tuple[float, float]
"""A development score and its noise band, one standard deviation in the unit of the score."""


class Scorer(Protocol):
    """A development score; higher is better.

    Attributes:
        criterion: what it measures and on what, in a few words.
    """

    criterion: str

    def __call__(self, embedder: Embedder) -> Measured | Score:
        """Score the embedder as it is; gives the score and its band."""
        ...


@dataclass(frozen=True)
class LastStep:
    """Instead of a scorer: nothing is scored, and the last step is kept.

    Attributes:
        criterion: why, in a few words.
    """

    criterion: str = "last step"


@dataclass(frozen=True)
class Selection:
    """The choice and what it rests on.

    Attributes:
        criterion: what was measured.
        step: the step that was kept.
        score: its score.
        scores: step → score; step 0 is the model before training.
        bands: step → noise band of its score.
        stopped: the step after which the training ended before its time, since the score no longer rose;
            None if it did all its steps.
    """

    criterion: str
    step: int
    score: float
    scores: dict[int, float]
    bands: dict[int, float] = field(default_factory=dict)
    stopped: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        by_step = {
            name: {str(step): value for step, value in getattr(self, name).items()}
            for name in ("scores", "bands")
        }
        return {**asdict(self), **by_step}


class HeldOutPairs:
    """Mean reciprocal rank of each held-out positive among all of them, given its anchor."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.criterion = f"mean reciprocal rank on {len(pairs)} held-out pairs"

    def __call__(self, embedder: Embedder) -> Measured:
        """Score from 0 to 1, and its standard error: what the choice of held-out pairs is worth."""
        anchors = embedder.encode(self.pairs.anchors, normalize=True)
        positives = embedder.encode(self.pairs.positives, normalize=True)
        similarity = anchors @ positives.T
        rank = (similarity >= np.diag(similarity)[:, None]).sum(1)
        reciprocal = 1.0 / rank
        return float(reciprocal.mean()), float(reciprocal.std() / len(rank) ** 0.5)
