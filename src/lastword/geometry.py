"""Geometry of a set of vectors, without labels: how similar their directions are, how many dimensions they use."""

from __future__ import annotations

import numpy as np

from lastword.errors import RequestError

_NEIGHBOURS = 10
_BLOCK = 1024  # rows whose distances to all others are in memory at the same time


def mean_cosine(vectors: np.ndarray) -> float:
    """Mean cosine of all pairs of different rows: 0 for vectors in all directions, 1 for one direction.

    Args:
        vectors: (n, dim), n ≥ 2, of any length; rows of zeros have cosine 0 with every other row.

    Raises:
        RequestError: fewer than two rows.

    Source: anisotropy as measured by Ethayarajh, arXiv:1909.00512; here over all pairs.
    """
    rows, n = _unit(vectors), len(vectors)
    squares = float((rows * rows).sum())
    total = rows.sum(0)
    return float((total @ total - squares) / (n * (n - 1)))


def effective_rank(vectors: np.ndarray) -> float:
    """Number of directions that the vectors use: exp(entropy) of their singular values, 1 … min(n, dim).

    Rows are scaled to length 1 and centred first, so that a direction which all vectors share does not
    count; `mean_cosine` measures that one.

    Args:
        vectors: (n, dim), n ≥ 2.

    Raises:
        RequestError: fewer than two rows.

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.
    """
    rows = _unit(vectors)
    values = np.linalg.svd(rows - rows.mean(0), compute_uv=False)
    if not values.sum():
        return 1.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def alignment(vectors: np.ndarray, positives: np.ndarray) -> float:
    """Mean squared distance of the two vectors of a pair, both scaled to length 1: 0 (equal) … 4.

    Args:
        vectors: (n, dim).
        positives: (n, dim), the other vector of each pair.

    Raises:
        RequestError: the shapes differ.

    Source: Wang and Isola, arXiv:2005.10242, with α = 2.
    """
    if np.shape(vectors) != np.shape(positives):
        raise RequestError(
            f"vectors of shape {np.shape(vectors)} and positives of shape {np.shape(positives)}: "
            "the shapes must be equal"
        )
    difference = _unit(vectors, least=1) - _unit(positives, least=1)
    return float((difference * difference).sum(1).mean())


def uniformity(vectors: np.ndarray) -> float:
    """Log of the mean of exp(-2 · squared distance) over all pairs of different rows, scaled to length 1.

    0 for equal vectors; lower if they are spread more evenly over the sphere (about -4 in many dimensions).

    Args:
        vectors: (n, dim), n ≥ 2.

    Raises:
        RequestError: fewer than two rows.

    Source: Wang and Isola, arXiv:2005.10242, with t = 2.
    """
    rows, n = _unit(vectors), len(vectors)
    squares = (rows * rows).sum(1)
    total = 0.0
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        squared = squares[block, None] + squares - 2 * rows[block] @ rows.T
        total += float(np.exp(-2 * np.maximum(squared, 0)).sum())
    return float(np.log((total - n) / (n * (n - 1))))


def shared_neighbours(vectors: np.ndarray, others: np.ndarray) -> float:
    """Share of the ten nearest rows that two sets of vectors of the same n texts, of length 1, agree on."""
    nearest = [
        np.argsort(-(rows @ rows.T - 3 * np.eye(len(rows))), kind="stable")[:, :_NEIGHBOURS]
        for rows in (vectors, others)
    ]
    return float(np.mean([len({*a} & {*b}) / len(a) for a, b in zip(*nearest, strict=True)]))


def spearman(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's correlation of n cosines and n scores, -1 … 1; 0 where all of one side are equal."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    if not len(left) or not np.ptp(left) or not np.ptp(right):
        return 0.0
    return float(spearmanr(left, right)[0])


def _unit(vectors: np.ndarray, least: int = 2) -> np.ndarray:
    """Rows scaled to length 1, float64; rows of zeros stay zero."""
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < least:
        raise RequestError(f"vectors of shape {rows.shape}: give at least {least} rows, (n, dim)")
    return unit(rows)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; (n, dim) → (n, dim) of the same type, rows of zeros stay."""
    length: np.ndarray = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.maximum(length, 1e-12)
    return scaled
