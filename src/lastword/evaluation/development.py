"""A development score: what a training may look at to choose its checkpoint. Never a test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lastword.evaluation.scores import cluster_score, require_labels

if TYPE_CHECKING:
    from lastword.embedding import Embedder

_BOOTSTRAP_SIZE = 4096  # a quarter of mteb's: only differences between checkpoints matter here


class ClusterScorer:
    """V-measure of k-means on labelled development texts, averaged over sets.

    Attributes:
        sets: name → (texts, labels).
        criterion: what it measures and on what.
    """

    def __init__(self, sets: dict[str, tuple[Sequence[str], Sequence[str]]]) -> None:
        for name, (_, labels) in sets.items():
            require_labels(labels, "clustering", name)
        self.sets = sets
        self.criterion = f"V-measure on {' and '.join(sets)}"

    def __call__(self, embedder: Embedder) -> float:
        """Mean V-measure, 0 to 1."""
        scores = [
            cluster_score(embedder, texts, labels, bootstrap_size=_BOOTSTRAP_SIZE).score
            for texts, labels in self.sets.values()
        ]
        return sum(scores) / len(scores)
