"""Scores that need no labels but neighbours or clusters: what of them survives small damage, or other texts?

Each gives a number and how far to trust it.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lastword.embedding.encoding import unit

NEIGHBOURS = 10
SPLITS = 5
_BLOCK = 1024  # rows whose similarities to all others are held at once
_DIGITS = 6  # of a cosine: what lies behind is rounding, and equal vectors must count as equal

Measured = tuple[float, float]


def neighbour_stability(
    vectors: np.ndarray, damaged: np.ndarray, neighbours: int = NEIGHBOURS, seed: int = 0
) -> Measured:
    """Share of a text's nearest other texts that are also nearest to its lightly damaged copy, 0 … 1.

    Neighbours that are equally near are taken in an order drawn for each side, so that vectors which are
    all the same have the stability of chance and not 1.

    Args:
        vectors: (n, dim), of the texts.
        damaged: (n, dim), of their copies.
        neighbours: how many of each; at most n - 1 are taken.
        seed: of the orders.

    Returns:
        Mean over the texts, and its standard error.
    """
    rows, copies = unit(np.asarray(vectors, np.float64)), unit(np.asarray(damaged, np.float64))
    count = min(neighbours, len(rows) - 1)
    rng = np.random.default_rng(seed)
    orders = rng.permutation(len(rows)), rng.permutation(len(rows))
    shares = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(rows)))
        near = [_nearest(side[block], rows, block, count, order)
                for side, order in zip((rows, copies), orders, strict=True)]  # fmt: skip
        shares[block] = (near[0] & near[1]).sum(1) / count
    return float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(shares)))


def _nearest(
    side: np.ndarray, rows: np.ndarray, own: np.ndarray, count: int, order: np.ndarray
) -> np.ndarray:
    """(block, n) bool: the `count` rows nearest to each of `side`, its own row left out."""
    cosines = np.round(side @ rows.T, _DIGITS)
    cosines[np.arange(len(own)), own] = -np.inf
    places = np.argsort(-cosines[:, order], axis=1, kind="stable")[:, :count]
    near = np.zeros(cosines.shape, bool)
    np.put_along_axis(near, order[places], True, axis=1)
    return near


def split_half_agreement(
    vectors: np.ndarray, clusters: int | None = None, seed: int = 0, splits: int = SPLITS
) -> Measured:
    """How alike two clusterings of all texts are, each learnt from another half of them.

    The texts are split at random; k-means on each half says which cluster each of all n texts belongs to;
    the two answers are compared by the adjusted Rand index: 1 for the same clusters, 0 for chance. An answer
    with a single cluster tells nothing apart and counts 0.

    Args:
        vectors: (n, dim).
        clusters: how many; None is √(n / 2), rounded.
        seed: of splits and k-means.
        splits: how often.

    Returns:
        Mean and standard deviation over the splits.

    Source: stability of clusterings, von Luxburg, arXiv:1007.1075, §2; Hubert and Arabie, 1985, for the index.
    """
    rows = unit(np.asarray(vectors, np.float32))
    kinds = clusters or max(2, round((len(rows) / 2) ** 0.5))
    values = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        for split in range(splits):
            order = np.random.default_rng([seed, split]).permutation(len(rows))
            halves = order[: len(rows) // 2], order[len(rows) // 2 :]
            answers = [
                KMeans(kinds, n_init=1, random_state=seed).fit(rows[half]).predict(rows) for half in halves
            ]
            single = any(len(np.unique(answer)) == 1 for answer in answers)
            values.append(0.0 if single else float(adjusted_rand_score(*answers)))
    return float(np.mean(values)), float(np.std(values))


def noise_tolerance(vectors: np.ndarray, damaged: np.ndarray) -> Measured:
    """How much nearer the two copies of a text are than two texts: 1 for no difference, 0 for as far apart.

    One minus the mean squared distance of a text and its copy (`geometry.alignment`) over that of two
    different texts, all of length 1, so that a direction which all vectors share makes nothing look near.
    0 where all texts have the same vector.

    Args:
        vectors: (n, dim), of the texts.
        damaged: (n, dim), of their copies.

    Returns:
        The value, and its standard error over the texts (of a ratio of two means, the second over pairs).
    """
    rows, copies = unit(np.asarray(vectors, np.float64)), unit(np.asarray(damaged, np.float64))
    n = len(rows)
    own = ((rows - copies) ** 2).sum(1)
    apart = 2 - 2 * (rows @ rows.sum(0) - 1) / (n - 1)  # of each text from all others, mean
    if apart.mean() < 10.0**-_DIGITS:
        return 0.0, 0.0
    ratio = own.mean() / apart.mean()
    error = (own - 2 * ratio * apart).std(ddof=1) / apart.mean() / n**0.5
    return float(1 - ratio), float(error)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's ρ, ties at their mean rank; None where a side is the same throughout.

    Args:
        one: (n,).
        other: (n,).
    """
    first, second = (_ranks(np.asarray(side, np.float64)) for side in (one, other))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends: np.ndarray = np.cumsum(count)
    ranks: np.ndarray = (ends - (count - 1) / 2)[place]
    return ranks
