"""Bands: where they must lie, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from lastword.explanation.bands import estimate, estimates


def test_the_mean_lies_in_its_band_and_the_band_is_that_of_a_normal_mean() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    found = estimate(values)
    assert found.n == 400
    assert found.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.2 * half
    )


def test_bands_hold_the_truth_about_as_often_as_they_say() -> None:
    draw = np.random.default_rng(1)
    samples = [estimate(draw.beta(2, 5, 60), seed) for seed in range(300)]
    inside = np.mean([one.low <= 2 / 7 <= one.high for one in samples])
    assert 0.89 <= inside <= 0.98


def test_rows_with_what_is_not_a_number_are_left_out() -> None:
    values = np.array([[0.1, 0.2], [np.nan, 0.9], [0.3, 0.4]])
    first, second = estimates(values)
    assert (first.n, second.n) == (2, 2)
    assert (first.mean, second.mean) == pytest.approx((0.2, 0.3))
    assert estimate(np.array([np.nan])).n == 0
    assert np.isnan(estimate(np.array([np.nan])).mean)


def test_one_text_has_no_band() -> None:
    found = estimate(np.array([0.25]))
    assert (found.mean, found.low, found.high, found.n) == (0.25, 0.25, 0.25, 1)


def test_the_same_seed_gives_the_same_band() -> None:
    values = np.random.default_rng(2).random(50)
    assert estimate(values, 3) == estimate(values, 3)
    assert estimate(values, 3) != estimate(values, 4)
