"""One task's score, how far to trust it, and when two scores are two."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

FEW_DOCUMENTS = 100
"""A clustering of fewer drawn documents is marked: most of its difference to another is the draw's."""
_DEVIATIONS = 2.0
_ENOUGH_SEEDS = 3  # whose spread can be trusted alone


@dataclass(frozen=True)
class SubsetScore:
    """The score of one subset of a task with one seed.

    Attributes:
        subset: mteb's name of it; "default" where a task has only one.
        metric: mteb's main score of the task.
        score: mean over the experiments and the splits; 0 … 1.
        std: standard deviation over the experiments; the mean of those of the splits.
        n: texts that were scored.
        documents: texts that there are; a task may draw fewer.
    """

    subset: str
    metric: str
    score: float
    std: float
    n: int
    documents: int


@dataclass(frozen=True)
class TaskScore(SubsetScore):
    """The same with mteb's own seed, and how it fares with others.

    Attributes:
        task: mteb's name.
        seed_scores: the score with each seed, mteb's first; each seed draws other documents, training texts
            and starts of k-means.
    """

    task: str
    seed_scores: tuple[float, ...]

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for one seed alone."""
        return statistics.stdev(self.seed_scores) if len(self.seed_scores) > 1 else None

    @property
    def few_documents(self) -> bool:
        """Whether the score stands on a draw of so few documents that it says little."""
        return self.n < FEW_DOCUMENTS and self.n < self.documents

    @property
    def deviation(self) -> float:
        """Standard deviation of the score: `spread` from three seeds on, else no less than `std`.

        Where the documents are a draw and no other seed was tried, that of a mean over n values between 0
        and 1 comes on top, at most 1 / (2 √n): `std` knows nothing of the documents that were not drawn. In
        mteb's older clustering tasks the experiments are sets of different texts, so `std` is mostly that of
        the sets and far on the safe side; three seeds tell more.
        """
        if self.spread is not None:
            return self.spread if len(self.seed_scores) >= _ENOUGH_SEEDS else max(self.std, self.spread)
        draw = 0.5 / math.sqrt(self.n) if self.n < self.documents else 0.0
        return math.hypot(self.std, draw)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with what follows from the rest."""
        facts = {"task": self.task, **asdict(self), "seed_scores": list(self.seed_scores)}
        return facts | {
            "spread": self.spread,
            "few_documents": self.few_documents,
            "deviation": self.deviation,
        }


def differs(a: TaskScore, b: TaskScore) -> bool:
    """Whether two models' scores in one task are further apart than noise takes them.

    The difference must exceed two standard deviations of a difference, √(a.deviation² + b.deviation²) each.
    That is on the safe side: models are compared on the same draws, so part of the noise is common to both.

    Args:
        a: the score of one model.
        b: that of another, in the same subset of the same task.

    Raises:
        ValueError: the scores are of two tasks or subsets.
    """
    if (a.task, a.subset, a.metric) != (b.task, b.subset, b.metric):
        raise ValueError(
            f"{a.task} ({a.subset}, {a.metric}) and {b.task} ({b.subset}, {b.metric}) do not compare: "
            "give two scores of one subset"
        )
    return abs(a.score - b.score) > _DEVIATIONS * math.hypot(a.deviation, b.deviation)
