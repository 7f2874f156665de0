"""Scores without labels: how far neighbours, clusters and distances survive noise in the texts or other texts."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lastword.geometry import unit

NEIGHBOURS = 10
SPLITS = 5
_BLOCK = 1024  # rows whose similarities to all others are in memory together
_DIGITS = 6  # of a cosine; the rest is rounding, and equal vectors must count as equal


def neighbour_stability(vectors: np.ndarray, noisy: np.ndarray, seed: int = 0) -> np.ndarray:
    """Share of a text's `NEIGHBOURS` nearest other texts, n - 1 at most, that are also nearest to its noisy copy.

    Neighbours at the same distance are taken in a random order, another one for text and copy, so that equal
    vectors have the stability of chance and not 1.

    Args:
        vectors: (n, dim), of the texts.
        noisy: (n, dim), of their copies.
        seed: of the random orders.

    Returns:
        (n,) float64, 0 … 1, one value for each text; the score is their mean.
    """
    rows, copies = unit(np.asarray(vectors, np.float64)), unit(np.asarray(noisy, np.float64))
    count = min(NEIGHBOURS, len(rows) - 1)
    rng = np.random.default_rng(seed)
    orders = rng.permutation(len(rows)), rng.permutation(len(rows))
    shares = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(rows)))
        near = [_nearest(side[block], rows, block, count, order)
                for side, order in zip((rows, copies), orders, strict=True)]  # fmt: skip
        shares[block] = (near[0] & near[1]).sum(1) / count
    return shares


def _nearest(
    queries: np.ndarray, rows: np.ndarray, excluded: np.ndarray, count: int, order: np.ndarray
) -> np.ndarray:
    """(block, n) bool: the `count` rows nearest to each query, without the row that `excluded` names."""
    cosines = np.round(queries @ rows.T, _DIGITS)
    cosines[np.arange(len(excluded)), excluded] = -np.inf
    positions = np.argsort(-cosines[:, order], axis=1, kind="stable")[:, :count]
    near = np.zeros(cosines.shape, bool)
    np.put_along_axis(near, order[positions], True, axis=1)
    return near


def split_half_agreement(
    vectors: np.ndarray, clusters: int | None = None, seed: int = 0, splits: int = SPLITS
) -> np.ndarray:
    """How similar two clusterings of all texts are, each learned from another half of them.

    The texts are split at random; k-means on each half assigns all n texts to clusters; the two assignments
    are compared by the adjusted Rand index: 1 for the same clusters, 0 for chance. An assignment to a single
    cluster counts 0.

    Args:
        vectors: (n, dim).
        clusters: number of clusters; None is √(n / 2), rounded.
        seed: of splits and k-means.
        splits: number of random splits.

    Returns:
        (splits,) float64, one index for each split; the score is their mean.

    Source: stability of clusterings, von Luxburg, arXiv:1007.1075; Hubert and Arabie, 1985, for the index.
    """
    rows = unit(np.asarray(vectors, np.float32))
    count = clusters or max(2, round((len(rows) / 2) ** 0.5))
    values = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        for split in range(splits):
            order = np.random.default_rng([seed, split]).permutation(len(rows))
            halves = order[: len(rows) // 2], order[len(rows) // 2 :]
            first, second = (
                KMeans(count, n_init=1, random_state=seed).fit(rows[half]).predict(rows) for half in halves
            )
            single = len(np.unique(first)) == 1 or len(np.unique(second)) == 1
            values.append(0.0 if single else float(adjusted_rand_score(first, second)))
    return np.array(values)


def noise_tolerance(vectors: np.ndarray, noisy: np.ndarray) -> float:
    """How much nearer a text is to its noisy copy than to other texts: 1 for no distance, 0 for the same.

    One minus the mean squared distance of a text and its copy (`geometry.alignment`) divided by that of two
    different texts, all of length 1, so that a direction which all vectors share makes no difference. 0 where
    all texts have the same vector.

    Args:
        vectors: (n, dim), of the texts.
        noisy: (n, dim), of their copies.
    """
    rows, copies = unit(np.asarray(vectors, np.float64)), unit(np.asarray(noisy, np.float64))
    n, total = len(rows), rows.sum(0)
    between = 2 - 2 * (total @ total - (rows**2).sum()) / (n * (n - 1))
    if between < 10.0**-_DIGITS:
        return 0.0
    return float(1 - ((rows - copies) ** 2).sum() / n / between)
