"""How stable each group is: does it come back when only a part of the texts is clustered?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lastword.console import progress
from lastword.corpus.clustering.partition import UNCLUSTERED

REPEATS = 20
TEXTS = 5000
"""Stability is measured on at most this many texts."""
DISSOLVED = 0.5
"""A group below this is no group: Hennig's threshold."""


def stability(
    points: np.ndarray,
    groups: np.ndarray,
    count: int,
    cluster: Callable[[np.ndarray, int], np.ndarray],
    repeats: int = REPEATS,
    seed: int = 0,
) -> np.ndarray:
    """Mean Jaccard similarity of each group and the group most like it in a bootstrap of the texts.

    Of n texts drawn with replacement the different ones are clustered again, about 63 %: copies of a text would make
    a dense spot of their own.

    Args:
        points: (n, dim).
        groups: (n,) 0 … count - 1, or `UNCLUSTERED`.
        count: number of groups.
        cluster: points and a seed → their groups.
        repeats: bootstraps.
        seed: of the bootstraps.

    Returns:
        (count,), 0 … 1: from 0.75 on a stable group, below 0.5 dissolved; NaN if no text of it was drawn.

    Source: Hennig, "Cluster-wise assessment of cluster stability", 2007.
    """
    random = np.random.default_rng(seed)
    sums, draws = np.zeros(count), np.zeros(count)
    with progress("stability", repeats) as advance:
        for repeat in range(repeats):
            rows = np.unique(random.integers(len(points), size=len(points)))
            again = cluster(points[rows], seed + repeat + 1)
            best, present = _best_jaccard(groups[rows], again, count)
            sums += best
            draws += present
            advance(1)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = sums / draws
    return mean


def _best_jaccard(groups: np.ndarray, again: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For each group the highest Jaccard similarity to another clustering's, and whether it is there."""
    others = int(again.max(initial=UNCLUSTERED)) + 1
    table = np.zeros((count + 1, others + 1))  # the last row and column are those of the unclustered
    np.add.at(table, (groups, again), 1)
    sizes, other_sizes = table.sum(1)[:count], table.sum(0)[:others]
    common = table[:count, :others]
    union = sizes[:, None] + other_sizes - common
    best = (common / np.maximum(union, 1)).max(axis=1, initial=0.0)
    return best, (sizes > 0).astype(float)
