"""Intervals of means: their width, and how often they contain the true mean."""

from __future__ import annotations

import numpy as np
import pytest

from lastword.explanation.intervals import mean_interval, mean_intervals


def test_the_interval_of_normal_values_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    interval = mean_interval(values)
    assert interval.n == 400
    assert interval.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.2 * half
    )


def test_95_percent_of_the_intervals_contain_the_true_mean() -> None:
    draw = np.random.default_rng(1)
    intervals = [mean_interval(draw.beta(2, 5, 60), seed) for seed in range(300)]
    inside = np.mean([interval.low <= 2 / 7 <= interval.high for interval in intervals])
    assert 0.89 <= inside <= 0.98


def test_rows_with_nan_are_left_out() -> None:
    values = np.array([[0.1, 0.2], [np.nan, 0.9], [0.3, 0.4]])
    first, second = mean_intervals(values)
    assert (first.n, second.n) == (2, 2)
    assert (first.mean, second.mean) == pytest.approx((0.2, 0.3))
    assert mean_interval(np.array([np.nan])).n == 0
    assert np.isnan(mean_interval(np.array([np.nan])).mean)


def test_the_interval_of_one_text_is_its_value() -> None:
    interval = mean_interval(np.array([0.25]))
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.25, 0.25, 0.25, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).random(50)
    assert mean_interval(values, 3) == mean_interval(values, 3)
    assert mean_interval(values, 3) != mean_interval(values, 4)
