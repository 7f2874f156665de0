"""The flat map: near rows stay near, the same input gives the same map."""

from __future__ import annotations

import numpy as np
import pytest

from lastword.demonstration.flat_map import flat_map


def groups(each: int = 20, dim: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Three groups of similar directions, and the group of each row."""
    random = np.random.default_rng(3)
    centres = np.repeat(random.normal(size=(3, dim)), each, axis=0)
    vectors = centres + 0.2 * random.normal(size=centres.shape)
    return vectors.astype(np.float32), np.repeat(np.arange(3), each)


def test_near_rows_are_near_on_the_map() -> None:
    vectors, kinds = groups()
    points = flat_map(vectors)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(len(points), np.inf))
    assert (kinds[distances.argmin(axis=1)] == kinds).all()
    assert points.shape == (60, 2)
    assert points.dtype == np.float32


def test_same_seed_same_map_and_another_seed_another() -> None:
    vectors = np.random.default_rng(0).normal(size=(120, 8))
    points = flat_map(vectors, seed=1)
    assert (flat_map(vectors, seed=1) == points).all()
    assert not np.allclose(flat_map(vectors, seed=2), points, atol=1e-2)


def test_length_of_a_vector_does_not_matter() -> None:
    vectors, _ = groups()
    scaled = vectors.astype(float) * 2.0 ** np.arange(-3, 3).repeat(10)[:, None]
    assert flat_map(scaled) == pytest.approx(flat_map(vectors), abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 12])
@pytest.mark.parametrize("dim", [1, 2, 50])
def test_few_rows_or_dimensions(n: int, dim: int) -> None:
    points = flat_map(np.random.default_rng(n).normal(size=(n, dim)))
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()


def test_equal_rows_share_one_point() -> None:
    assert (flat_map(np.ones((9, 4), np.float32)) == 0).all()
