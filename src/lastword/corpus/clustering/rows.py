"""The vectors of a store as they are clustered: their first principal components, scaled to length 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lastword.corpus.clustering.partition import one_thread
from lastword.corpus.store import Store
from lastword.geometry import unit

COMPONENTS = 64
"""Principal components in which groups are found: with 16 some groups are lost (results/cluster_components.json)."""


@dataclass(frozen=True)
class Points:
    """The vectors of a store, ready for distances: their first principal components.

    The vectors of a decoder share a large part, which says nothing about a text: their mean is taken out. Directions
    in which few texts differ are noise to groups.

    Attributes:
        store: n rows.
        rows: (m,) the rows of a sample, ascending; all if there are few.
        mean: (dim,) of the sample's vectors, scaled to length 1.
        directions: (few, dim) the principal components of the sample.
        sample: (m, few) float32, the points of the sample.

    Source: Ding and He, "K-means clustering via principal component analysis", ICML 2004.
    """

    store: Store
    rows: np.ndarray
    mean: np.ndarray
    directions: np.ndarray
    sample: np.ndarray

    @classmethod
    def of(cls, store: Store, most: int, seed: int) -> Points:
        """Read at most `most` vectors of a store."""
        rows = sample_rows(len(store), most, seed)
        vectors = unit(np.concatenate([block[inside] for block, inside in _blocks(store, rows)]))
        mean, directions = principal_components(vectors, seed)
        return cls(store, rows, mean, directions, project(vectors, mean, directions))

    def all(self) -> Iterator[np.ndarray]:
        """Yield the points of all rows, (n, few) float32, a shard at a time."""
        for vectors in self.store.vectors():
            yield project(unit(vectors), self.mean, self.directions)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """The points of some rows, ascending."""
        vectors = np.concatenate([block[inside] for block, inside in _blocks(self.store, rows)])
        return project(unit(vectors), self.mean, self.directions)

    def cells(self, column: str, rows: np.ndarray | None = None) -> list[object]:
        """The cells of a column in some rows, ascending; None is the sample."""
        return cells(self.store, column, self.rows if rows is None else rows)


def principal_components(
    vectors: np.ndarray, seed: int, count: int = COMPONENTS
) -> tuple[np.ndarray, np.ndarray]:
    """Mean, (dim,), and first principal components, (at most count, dim), of vectors (n, dim)."""
    from sklearn.decomposition import PCA

    with one_thread(), np.errstate(invalid="ignore"):  # equal vectors have no variance
        found = PCA(min(count, *vectors.shape), random_state=seed).fit(vectors)
    return found.mean_, found.components_


def project(vectors: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Vectors (n, dim) along some directions, scaled to length 1; (n, few) float32."""
    return unit((vectors - mean) @ directions.T)


def sample_rows(n: int, most: int, seed: int) -> np.ndarray:
    """At most `most` of n rows, ascending; the same for the same seed."""
    if n <= most:
        return np.arange(n)
    rows: np.ndarray = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
    return rows


def cells(store: Store, column: str, rows: np.ndarray) -> list[object]:
    """The cells of a column of a store in some rows, ascending."""
    found: list[object] = []
    start = 0
    for table in store.shards([column]):
        inside = rows[(rows >= start) & (rows < start + table.num_rows)] - start
        found += table[column].take(inside).to_pylist()
        start += table.num_rows
    return found


def _blocks(store: Store, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The vectors of each shard, and which of its rows are among `rows`."""
    start = 0
    for vectors in store.vectors():
        yield vectors, rows[(rows >= start) & (rows < start + len(vectors))] - start
        start += len(vectors)
