"""POINTS → THE GROUP OF EACH TEXT: how many groups, which, and how stable they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lastword.console import info, progress
from lastword.corpus.clustering import choosing
from lastword.corpus.clustering.partition import (
    UNCLUSTERED,
    Centroids,
    Partition,
    density,
    density_coordinates,
    k_means,
)
from lastword.corpus.clustering.rows import Points, sample_rows
from lastword.corpus.clustering.stability import TEXTS, stability
from lastword.errors import RequestError


@dataclass(frozen=True)
class Found:
    """The groups of n texts, largest first.

    Attributes:
        groups: (n,) numbers, or `UNCLUSTERED`.
        confidence: (n,) float32, 0 … 1.
        closeness: (n,) float32, cosine to the group's centroid.
        centroids: (count, dim).
        stability: (count,) 0 … 1, NaN where it was not measured.
        reason: why there are so many groups.
        candidates: figures of the numbers of groups that were tried.
    """

    groups: np.ndarray
    confidence: np.ndarray
    closeness: np.ndarray
    centroids: np.ndarray
    stability: np.ndarray
    reason: str
    candidates: list[choosing.Candidate]

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.centroids)

    @property
    def sizes(self) -> np.ndarray:
        """(count,) texts of each group."""
        return np.bincount(self.groups[self.groups >= 0], minlength=self.count)


def find_groups(points: Points, method: str, groups: int | None, least_size: int | None, seed: int) -> Found:
    """Find groups.

    Args:
        points: n of them.
        method: "k-means" or "density".
        groups: how many; None chooses. Of k-means only.
        least_size: texts of the smallest group; None is half the root of their number, at least 5. Of density only.
        seed: of everything random.

    Raises:
        RequestError: fewer different texts than groups.
    """
    sample = points.sample
    different = len(np.unique(sample, axis=0))
    candidates: list[choosing.Candidate] = []
    if different < 2:
        raise RequestError(
            f"{points.store.folder}: all {len(points.store):,} texts have the same vector, so there is nothing to group"
        )
    if method == "density":
        least_size = least_size or max(5, round(np.sqrt(len(sample)) / 2))
        coordinates = density_coordinates(sample, seed)
        partition: Partition = density(sample, coordinates, least_size)
        reason = f"{len(partition.centroids)} groups: the dense regions with at least {least_size} texts"
    else:
        if groups is not None and groups > different:
            raise RequestError(
                f"groups={groups}: there are {different:,} different texts; give 2 … {different:,}"
            )
        reason = f"{groups} groups, as given"
        if groups is None:
            candidates = choosing.try_numbers(sample, seed)
            groups, reason = choosing.best_number(candidates), choosing.reason(candidates)
        coordinates = sample
        info(f"k-means of {len(sample):,} texts: {groups} groups")
        partition = Centroids(k_means(sample, groups, seed))
    assigned, confidence, partition = _assign_all(points, partition)
    stable = _stability(points, assigned[points.rows], coordinates, partition, least_size, seed)
    closeness = _closeness(points, assigned, partition.centroids)
    return Found(assigned, confidence, closeness, partition.centroids, stable, reason, candidates)


def _assign_all(points: Points, partition: Partition) -> tuple[np.ndarray, np.ndarray, Partition]:
    """The group of every row, the largest group first, and the partition with these numbers."""
    parts = []
    with progress("assigning", len(points.store)) as advance:
        for block in points.all():
            parts.append(partition.assign(block))
            advance(len(block))
    groups, confidence = (np.concatenate(column) for column in zip(*parts, strict=True))
    sizes = np.bincount(groups[groups >= 0], minlength=len(partition.centroids))
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    numbers = np.full(len(sizes) + 1, UNCLUSTERED, np.int32)  # the last one is found by -1
    numbers[order] = np.arange(len(order))
    return numbers[groups], confidence, partition.ordered(order)


def _stability(
    points: Points,
    groups: np.ndarray,
    coordinates: np.ndarray,
    partition: Partition,
    least_size: int | None,
    seed: int,
) -> np.ndarray:
    """Stability of the groups in the sample."""
    count = len(partition.centroids)
    rows = sample_rows(len(groups), TEXTS, seed)

    def again(some: np.ndarray, seed: int) -> np.ndarray:
        if isinstance(partition, Centroids):
            return Centroids(k_means(some, min(count, len(some)), seed, starts=1)).assign(some)[0]
        smallest = max(2, round((least_size or 2) * len(some) / len(groups)))
        return density(some, some, min(smallest, len(some))).groups

    return stability(coordinates[rows], groups[rows], count, again, seed=seed)


def _closeness(points: Points, groups: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Cosine of each point and the centroid of its group; -1 for the unclustered."""
    closeness = np.full(len(groups), -1, np.float32)
    lengths = np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    directions, start = centroids / lengths, 0
    for block in points.all():
        rows = np.arange(start, start + len(block))
        inside = groups[rows] >= 0
        rows = rows[inside]
        closeness[rows] = (block[inside] * directions[groups[rows]]).sum(1)
        start += len(block)
    return closeness
