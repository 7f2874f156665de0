"""The vectors of a store as they are clustered: scaled to length 1, without the direction that all share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lastword.corpus.store import Store
from lastword.geometry import unit


@dataclass(frozen=True)
class Points:
    """The vectors of a store, ready for distances.

    The vectors of a decoder share a large part, which says nothing about a text: their mean is taken out.

    Attributes:
        store: n rows.
        rows: (m,) the rows of a sample, ascending; all if there are few.
        mean: (dim,) of the sample's vectors, scaled to length 1.
        sample: (m, dim) float32, the points of the sample.
    """

    store: Store
    rows: np.ndarray
    mean: np.ndarray
    sample: np.ndarray

    @classmethod
    def of(cls, store: Store, most: int, seed: int) -> Points:
        """Read at most `most` vectors of a store."""
        rows = sample_rows(len(store), most, seed)
        vectors = unit(np.concatenate([block[inside] for block, inside in _blocks(store, rows)]))
        mean = vectors.mean(0)
        return cls(store, rows, mean, unit(vectors - mean))

    def all(self) -> Iterator[np.ndarray]:
        """Yield the points of all rows, (n, dim) float32, a shard at a time."""
        for vectors in self.store.vectors():
            yield unit(unit(vectors) - self.mean)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """The points of some rows, ascending."""
        vectors = np.concatenate([block[inside] for block, inside in _blocks(self.store, rows)])
        return unit(unit(vectors) - self.mean)

    def cells(self, column: str, rows: np.ndarray | None = None) -> list[object]:
        """The cells of a column in some rows, ascending; None is the sample."""
        return cells(self.store, column, self.rows if rows is None else rows)


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
