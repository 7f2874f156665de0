"""POINTS → GROUPS: by k-means or by density, found on a sample; then every point gets its group."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

METHODS = ("k-means", "density")
UNCLUSTERED = -1
"""The group of a text that is in none."""
FIT_TEXTS = {"k-means": 50_000, "density": 20_000}
"""Method → how many texts groups are found on at most; of more, on a fixed sample."""
_FULL_BATCH, _STARTS = 8192, 4
_DENSITY_DIMS, _NEIGHBOURS = 5, 15
_BLOCK = 4096
_TINY = 1e-12


class Partition(Protocol):
    """Groups that points can be assigned to."""

    @property
    def centroids(self) -> np.ndarray:
        """(groups, dim)."""

    def assign(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, dim) → the group of each point, (n,), and how sure that is, (n,) float32, 0 … 1."""

    def ordered(self, order: np.ndarray) -> Partition:
        """The same groups with other numbers: `order` lists the present ones that are kept."""


@dataclass(frozen=True)
class Centroids:
    """Groups of k-means.

    Attributes:
        centroids: (groups, dim).
    """

    centroids: np.ndarray

    def assign(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest centroid; the confidence is the simplified silhouette.

        That is (b - a) / b for the distances a to the nearest and b to the second nearest centroid: 0 halfway between
        them, 1 at the nearest.

        Source: Hruschka et al., "Evolutionary algorithms for clustering gene-expression data", 2004.
        """
        squares = (points * points).sum(1)[:, None] + (self.centroids * self.centroids).sum(1)
        distances = np.sqrt(np.maximum(squares - 2 * points @ self.centroids.T, 0))
        groups = distances.argmin(1)
        if distances.shape[1] == 1:
            return groups.astype(np.int32), np.ones(len(points), np.float32)
        nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
        confidence = (second - nearest) / np.maximum(second, _TINY)
        return groups.astype(np.int32), confidence.astype(np.float32)

    def ordered(self, order: np.ndarray) -> Centroids:
        """See `Partition`."""
        return Centroids(self.centroids[order])


@dataclass(frozen=True)
class Dense:
    """Groups of HDBSCAN.

    Attributes:
        points: (m, dim) of the sample.
        groups: (m,) of the sample, or `UNCLUSTERED`.
        confidence: (m,) HDBSCAN's probability that a point is in its group.
    """

    points: np.ndarray
    groups: np.ndarray
    confidence: np.ndarray

    @property
    def centroids(self) -> np.ndarray:
        """The mean point of each group."""
        count = int(self.groups.max(initial=UNCLUSTERED)) + 1
        means = [self.points[self.groups == group].mean(0) for group in range(count)]
        return np.array(means, np.float32).reshape(count, self.points.shape[1])

    def assign(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the nearest point of the sample has: none, if that is in none."""
        nearest = np.empty(len(points), np.int64)
        squares = (self.points * self.points).sum(1)
        for start in range(0, len(points), _BLOCK):
            block = slice(start, start + _BLOCK)
            nearest[block] = (squares - 2 * points[block] @ self.points.T).argmin(1)
        return self.groups[nearest], self.confidence[nearest]

    def ordered(self, order: np.ndarray) -> Dense:
        """See `Partition`."""
        numbers = np.full(len(self.centroids) + 1, UNCLUSTERED, np.int32)  # the last one is found by -1
        numbers[order] = np.arange(len(order))
        return replace(self, groups=numbers[self.groups])


def k_means(points: np.ndarray, groups: int, seed: int, starts: int = _STARTS) -> np.ndarray:
    """Centroids, (groups, dim), of the best of several starts; by mini-batches where there are many points."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(points) <= _FULL_BATCH:
        model = KMeans(groups, n_init=starts, random_state=seed)
    else:
        model = MiniBatchKMeans(groups, n_init=starts, batch_size=_FULL_BATCH, random_state=seed)
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than groups
        centroids: np.ndarray = model.fit(points).cluster_centers_
    return centroids.astype(np.float32)


def density(points: np.ndarray, coordinates: np.ndarray, least_size: int) -> Dense:
    """Groups of HDBSCAN.

    Args:
        points: (m, dim).
        coordinates: (m, few): the points in few dimensions, where density says something; see `reduced`.
        least_size: texts of the smallest group.

    Source: Campello et al., "Density-based clustering based on hierarchical density estimates", 2013.
    """
    from sklearn.cluster import HDBSCAN

    with one_thread():
        model = HDBSCAN(min_cluster_size=least_size, copy=True).fit(coordinates)
    return Dense(points, model.labels_.astype(np.int32), model.probabilities_.astype(np.float32))


def reduced(points: np.ndarray, dims: int, seed: int, tight: bool = False) -> np.ndarray:
    """Points in few dimensions by UMAP with cosine distance; (n, dim) → (n, dims) float32.

    Args:
        points: n of them; as they are if they have no more dimensions.
        dims: how many.
        seed: the same points and seed give the same coordinates.
        tight: let near points lie as close as they can, for clustering; a map needs space between them.

    Source: McInnes et al., arXiv:1802.03426; before HDBSCAN as in BERTopic, arXiv:2203.05794.
    """
    if points.shape[1] <= dims:
        return points
    from lastword.extras import needed

    umap = needed("umap", "map", "UMAP")
    model = umap.UMAP(
        n_components=dims, n_neighbors=min(_NEIGHBOURS, len(points) - 1), min_dist=0.0 if tight else 0.1,
        metric="cosine", init="spectral" if len(points) > 4 * _NEIGHBOURS else "random", random_state=seed, n_jobs=1,
    )  # fmt: skip
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")
        coordinates: np.ndarray = model.fit_transform(points)
    return coordinates.astype(np.float32)


def density_coordinates(points: np.ndarray, seed: int) -> np.ndarray:
    """The few dimensions that density is measured in."""
    return reduced(points, _DENSITY_DIMS, seed, tight=True)


def needs_umap(dim: int) -> bool:
    """Whether density of points with this many dimensions is measured by UMAP."""
    return dim > _DENSITY_DIMS


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep scikit-learn on one thread: several wait for each other where another job uses the cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        yield
