"""A claim holds beyond twice the noise of the difference, and not before."""

from __future__ import annotations

import pytest

from lastword.paper.cells import Value, joined
from lastword.paper.figures import read_table
from lastword.paper.verdict import HOLDS, NOISE, REVERSED, UNKNOWN, judge, word


def value(mean: float, band: float) -> Value:
    return Value(mean, band, {"a": mean}, 1)


@pytest.mark.parametrize(
    ("difference", "noise", "expected"),
    [(1.0, 0.4, HOLDS), (0.8, 0.4, NOISE), (-0.8, 0.4, NOISE), (-1.0, 0.4, REVERSED), (0.0, 0.0, NOISE)],
)
def test_words(difference: float, noise: float, expected: str) -> None:
    assert word(difference, noise) == expected


def test_claims_of_a_table() -> None:
    table = read_table("table3")
    first, second = judge(table, {("none", "mean"): value(20, 0.3), ("none", "last"): value(25, 0.4)})
    assert first.word == REVERSED
    assert first.difference == -5
    assert first.noise == pytest.approx(0.5)
    assert first.published == {"Llama-3.2-1B": 12.6, "Qwen3-0.6B": 10.9}
    assert (second.word, second.difference) == (UNKNOWN, None), "no cell for eos"


def test_bands_are_joined() -> None:
    """Two tasks, three trainings: the variance between the trainings' means and the mean one within."""
    runs = [
        {"a": {"score": a, "std": 0.03, "n": 1}, "b": {"score": b, "std": 0.04, "n": 1}}
        for a, b in ((0.2, 0.4), (0.22, 0.44), (0.18, 0.36))
    ]
    found = joined(runs)
    assert found.mean == pytest.approx(30)
    assert found.tasks == pytest.approx({"a": 20, "b": 40})
    assert found.band == pytest.approx((3.0**2 + 2.5**2) ** 0.5)
    assert found.seeds == 3
