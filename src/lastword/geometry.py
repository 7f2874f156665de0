"""How vectors lie in their space, without labels: in one direction or spread, in few dimensions or many."""

from __future__ import annotations

import numpy as np

from lastword.errors import RequestError

_BLOCK = 1024  # rows whose distances to all others are held at once


def mean_cosine(vectors: np.ndarray) -> float:
    """Mean cosine of all pairs of different rows: 0 for vectors that point everywhere, 1 for one direction.

    Args:
        vectors: (n, dim), n ≥ 2; of any length, rows of zeros have cosine 0 with every other.

    Raises:
        RequestError: fewer than two rows.

    Source: anisotropy as measured by Ethayarajh, arXiv:1909.00512, §4.1; here over all pairs.
    """
    rows, n = _unit(vectors), len(vectors)
    lengths = float((rows * rows).sum())
    together = rows.sum(0)
    return float((together @ together - lengths) / (n * (n - 1)))


def effective_rank(vectors: np.ndarray) -> float:
    """How many directions the vectors use: exp of the entropy of their singular values, 1 … min(n, dim).

    Rows are scaled to length 1 and their mean is taken away first, so that a direction which all vectors
    share does not count; `mean_cosine` tells about that one.

    Args:
        vectors: (n, dim), n ≥ 2.

    Raises:
        RequestError: fewer than two rows.

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007, definition 1.
    """
    rows = _unit(vectors)
    values = np.linalg.svd(rows - rows.mean(0), compute_uv=False)
    if not values.sum():
        return 1.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def alignment(vectors: np.ndarray, others: np.ndarray) -> float:
    """Mean squared distance of the two vectors of a pair, both of length 1: 0 (the same) … 4.

    Args:
        vectors: (n, dim).
        others: (n, dim), the other side of each pair.

    Raises:
        RequestError: not one row for each row.

    Source: Wang and Isola, arXiv:2005.10242, equation 4 with α = 2.
    """
    if np.shape(vectors) != np.shape(others):
        raise RequestError(
            f"alignment of arrays of shape {np.shape(vectors)} and {np.shape(others)}: give one row for each row"
        )
    difference = _unit(vectors, least=1) - _unit(others, least=1)
    return float((difference * difference).sum(1).mean())


def uniformity(vectors: np.ndarray) -> float:
    """Log of the mean of exp(-2 · squared distance) over all pairs of different rows of length 1.

    0 for equal vectors; the lower, the more evenly they lie on the sphere (at least -4 in many dimensions).

    Args:
        vectors: (n, dim), n ≥ 2.

    Raises:
        RequestError: fewer than two rows.

    Source: Wang and Isola, arXiv:2005.10242, equation 5 with t = 2.
    """
    rows, n = _unit(vectors), len(vectors)
    own = (rows * rows).sum(1)
    total = 0.0
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        squared = own[block, None] + own - 2 * rows[block] @ rows.T
        total += float(np.exp(-2 * np.maximum(squared, 0)).sum())
    return float(np.log((total - n) / (n * (n - 1))))


def _unit(vectors: np.ndarray, least: int = 2) -> np.ndarray:
    """Rows of length 1, float64; rows of zeros stay."""
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < least:
        raise RequestError(f"vectors of shape {rows.shape}: give at least {least} rows, (n, dim)")
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: np.ndarray = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return scaled
