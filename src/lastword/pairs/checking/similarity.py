"""Cosine of the two sides of each pair under an embedder, compared with that of unrelated sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastword.encoder import TextEncoder
from lastword.geometry import unit

BINS, TRIVIAL = 20, 0.98


@dataclass(frozen=True)
class Similarity:
    """Cosines of the pairs, and of anchors with the positives of others.

    Attributes:
        pairs: (n,) cosine of each pair.
        unrelated: (m,) cosines of anchors with positives of other anchors.
    """

    pairs: np.ndarray
    unrelated: np.ndarray

    @property
    def too_low(self) -> list[int]:
        """Pairs no closer than the average unrelated pair."""
        return [int(row) for row in np.flatnonzero(self.pairs <= np.median(self.unrelated))]

    @property
    def trivial(self) -> list[int]:
        """Pairs whose sides the embedder does not distinguish."""
        return [int(row) for row in np.flatnonzero(self.pairs >= TRIVIAL)]

    @property
    def separation(self) -> float:
        """How often a pair is closer than an unrelated one, from 0 to 1: the area under the ROC curve, ties half."""
        from scipy.stats import rankdata  # type: ignore[import-untyped]

        n = len(self.pairs)
        ranks = rankdata(np.concatenate([self.pairs, self.unrelated]))
        return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(self.unrelated)))

    def histogram(self) -> list[dict[str, float]]:
        """Counts of both kinds in bins from the lowest cosine to 1."""
        low = min(float(self.pairs.min()), float(self.unrelated.min()), 0.999)
        edges = np.linspace(low, 1.0, BINS + 1)
        counts = [np.histogram(np.minimum(part, 1.0), edges)[0] for part in (self.pairs, self.unrelated)]
        return [
            {"from": round(float(edges[i]), 4), "pairs": int(counts[0][i]), "unrelated": int(counts[1][i])}
            for i in range(BINS)
        ]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "mean": round(float(self.pairs.mean()), 4), "unrelated_mean": round(float(self.unrelated.mean()), 4),
            "separation": round(self.separation, 4), "histogram": self.histogram(),
        }  # fmt: skip


def similarity(embedder: TextEncoder, anchors: Sequence[str], positives: Sequence[str]) -> Similarity | None:
    """Embed both sides and compare them; None if all pairs have the same anchor, so that none are unrelated.

    Unrelated pairs are drawn by a permutation, not taken from neighbouring rows, which are often rewritings of
    the same text.
    """
    other = np.random.default_rng(0).permutation(len(anchors))
    unrelated = [row for row, anchor in enumerate(anchors) if anchor != anchors[other[row]]]
    if not unrelated:
        return None
    first, second = unit(embedder.encode(anchors)), unit(embedder.encode(positives))
    return Similarity((first * second).sum(1), (first[unrelated] * second[other[unrelated]]).sum(1))
