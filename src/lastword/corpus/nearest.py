"""The nearest rows of a store in any layout, exactly: shard after shard, in constant memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lastword.corpus.filters import Condition, fulfilled
from lastword.corpus.store import Store
from lastword.geometry import unit

_QUERIES = 256  # whose scores with the rows of a shard are in memory at the same time


def nearest(
    store: Store, queries: np.ndarray, count: int, conditions: Sequence[Condition] = ()
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Compare queries with every vector of a store.

    Vectors that are stored as int8 or as signs are restored, and queries stay as they are.

    Args:
        store: the vectors.
        queries: (q, dim) float32.
        count: rows to find for each query.
        conditions: all of which a row must fulfil.

    Returns:
        For each query cosines, highest first, and row numbers of the store, (m,) each, m ≤ `count`.
    """
    queries = unit(queries)
    best = np.full((len(queries), count), -np.inf, np.float32)
    rows = np.full((len(queries), count), -1)
    columns = list(dict.fromkeys(condition.column for condition in conditions))
    start = 0
    for table in store.shards([store.vector_column, *columns]):
        (kept,) = fulfilled(conditions, table).nonzero()
        vectors = unit(store.vector_format.restore(store.stored(table.take(kept) if conditions else table)))
        for first in range(0, len(queries), _QUERIES):
            part = slice(first, first + _QUERIES)
            _keep_best(best[part], rows[part], queries[part] @ vectors.T, start + kept)
        start += table.num_rows
    return [(scores[found >= 0], found[found >= 0]) for scores, found in zip(best, rows, strict=True)]


def _keep_best(best: np.ndarray, rows: np.ndarray, scores: np.ndarray, numbers: np.ndarray) -> None:
    """Update the best scores and their rows, (q, count), with the scores of further rows, (q, n)."""
    count = best.shape[1]
    if scores.shape[1] > count:
        at = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        scores, numbers = np.take_along_axis(scores, at, 1), numbers[at]
    else:
        numbers = np.broadcast_to(numbers, scores.shape)
    scores, numbers = np.hstack([best, scores]), np.hstack([rows, numbers])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    best[:], rows[:] = np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)
