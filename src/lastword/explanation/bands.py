"""Means over texts with the band that other texts of the kind would put them in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % band, by a bootstrap over the texts.

    Attributes:
        mean: over the texts.
        low: lower end of the band.
        high: upper end.
        n: texts behind it; the band of one text is the mean itself.
    """

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


def estimates(values: np.ndarray, seed: int = 0) -> list[Estimate]:
    """Mean and band of each column, from the same draws of texts for all.

    The texts are drawn with replacement 1,000 times; the band lies between the 2.5th and the 97.5th percentile
    of the means of the draws. It tells what another sample of such texts might give, not what another
    training might.

    Args:
        values: (n, columns); a row with a value that is not a number is left out.
        seed: of the draws.

    Returns:
        One for each column; all is NaN where no row is left.

    Source: the percentile method, Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    rows = values[~np.isnan(values).any(1)]
    n = len(rows)
    if not n:
        return [Estimate(float("nan"), float("nan"), float("nan"), 0)] * values.shape[1]
    shares = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS) / n
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(shares @ rows, [tail, 100 - tail], axis=0)
    ends = zip(rows.mean(0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(mean, lower, upper, n) for mean, lower, upper in ends]


def estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean and band of (n,) values; see `estimates`."""
    (one,) = estimates(values[:, None], seed)
    return one
