"""Geometry: against direct computation over all pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.errors import RequestError
from lastword.geometry import alignment, effective_rank, mean_cosine, uniformity


def random_rows(seed: int, n: int = 30, dim: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, (n, dim))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_mean_cosine_is_the_mean_over_pairs(seed: int, n: int) -> None:
    rows = unit(random_rows(seed, n))
    expected = np.mean([a @ b for a, b in combinations(rows, 2)])
    assert mean_cosine(random_rows(seed, n)) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_uniformity_is_the_mean_over_pairs(seed: int, n: int) -> None:
    rows = unit(random_rows(seed, n))
    expected = np.log(np.mean([np.exp(-2 * ((a - b) ** 2).sum()) for a, b in combinations(rows, 2)]))
    assert uniformity(random_rows(seed, n)) == pytest.approx(expected, abs=1e-9)


def test_uniformity_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = uniformity(random_rows(1))
    monkeypatch.setattr("lastword.geometry._BLOCK", 4)
    assert uniformity(random_rows(1)) == pytest.approx(whole, abs=1e-12)


def test_alignment_is_the_mean_squared_distance() -> None:
    left, right = random_rows(1), random_rows(2)
    assert alignment(left, right) == pytest.approx(((unit(left) - unit(right)) ** 2).sum(1).mean())
    assert alignment(left, 3 * left) == pytest.approx(0)


def test_effective_rank_counts_equal_directions() -> None:
    corners = np.concatenate([np.eye(5), -np.eye(5)])
    assert effective_rank(corners) == pytest.approx(5)
    assert effective_rank(np.ones((4, 3))) == 1.0


def test_equal_vectors() -> None:
    equal = np.ones((4, 3))
    assert mean_cosine(equal) == pytest.approx(1)
    assert uniformity(equal) == pytest.approx(0)


@pytest.mark.parametrize("score", [mean_cosine, effective_rank, uniformity])
def test_one_row_is_refused(score) -> None:
    with pytest.raises(RequestError, match=r"vectors of shape \(1, 3\): give at least 2 rows, \(n, dim\)"):
        score(np.ones((1, 3)))


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(RequestError, match="the shapes must be equal"):
        alignment(np.ones((2, 3)), np.ones((3, 3)))
