"""Means over texts with 95 % intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its 95 % interval, by a bootstrap over the texts.

    Attributes:
        mean: over the texts.
        low: lower end of the interval.
        high: upper end.
        n: number of texts; the interval of one text is the mean itself.
    """

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return asdict(self)


def mean_intervals(values: np.ndarray, seed: int = 0) -> list[MeanInterval]:
    """Mean and interval of each column, from the same resamples of texts for all.

    The texts are drawn with replacement 1,000 times; the interval is from the 2.5th to the 97.5th percentile
    of the means of the draws. It covers the sampling of texts, not the variation between training runs.

    Args:
        values: (n, columns); rows with NaN are left out.
        seed: of the draws.

    Returns:
        One for each column; all NaN if no row is left.

    Source: the percentile method, Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    rows = values[~np.isnan(values).any(1)]
    n = len(rows)
    if not n:
        return [MeanInterval(float("nan"), float("nan"), float("nan"), 0)] * values.shape[1]
    shares = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS) / n
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(shares @ rows, [tail, 100 - tail], axis=0)
    columns = zip(rows.mean(0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [MeanInterval(*column, n) for column in columns]


def mean_interval(values: np.ndarray, seed: int = 0) -> MeanInterval:
    """Mean and interval of (n,) values; see `mean_intervals`."""
    return mean_intervals(values[:, None], seed)[0]
