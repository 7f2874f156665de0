"""Label-free scores against plain computations, and for equal vectors."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from lastword.probing import labelfree
from lastword.probing.labelfree import neighbour_stability, noise_tolerance, split_half_agreement
from lastword.probing.result import rank_correlation


def drawn(seed: int, n: int = 40, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.4, 1, (n, dim)).astype(np.float32)


def slowly_stable(vectors: np.ndarray, noisy: np.ndarray, count: int) -> list[float]:
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    shares = []
    for i in range(len(vectors)):
        others = [j for j in range(len(vectors)) if j != i]
        near = [
            set(sorted(others, key=lambda j: -cosine(side, vectors[j]))[:count])
            for side in (vectors[i], noisy[i])
        ]
        shares.append(len(near[0] & near[1]) / count)
    return shares


@given(st.integers(0, 10_000), st.integers(3, 30), st.floats(0.05, 2))
@settings(max_examples=30)
def test_stability_counts_common_neighbours(seed: int, n: int, size: float) -> None:
    vectors = drawn(seed, n).astype(np.float64)
    noisy = vectors + size * drawn(seed + 1, n)
    shares = slowly_stable(vectors, noisy, count=min(10, n - 1))
    assert neighbour_stability(vectors, noisy) == pytest.approx(np.array(shares))


def test_stability_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbour_stability(drawn(1), drawn(2))
    monkeypatch.setattr(labelfree, "_BLOCK", 7)
    assert neighbour_stability(drawn(1), drawn(2)) == pytest.approx(whole)


def test_equal_vectors_are_as_stable_as_chance() -> None:
    equal = np.ones((200, 4), np.float32)
    assert neighbour_stability(equal, equal).mean() < 0.15
    assert neighbour_stability(drawn(1), drawn(1)).mean() == 1.0


def test_agreement_finds_clear_groups_and_nothing_in_random_vectors() -> None:
    centres = np.eye(8, dtype=np.float32) * 20
    grouped = np.repeat(centres, 15, axis=0) + drawn(3, 120, 8) * 0.1
    assert split_half_agreement(grouped, clusters=8, splits=3).mean() > 0.6
    random = np.random.default_rng(0).normal(0, 1, (120, 8)).astype(np.float32)
    assert split_half_agreement(random, clusters=8).mean() < 0.35
    assert split_half_agreement(np.ones((60, 4), np.float32)).tolist() == [0.0] * 5


def test_agreement_of_two_groups_is_that_of_nearest_means() -> None:
    """Two far groups: each half finds them, so that all texts fall into the same two clusters."""
    groups = np.concatenate([drawn(1, 30) + 50, drawn(2, 30) - 50])
    assert split_half_agreement(groups, clusters=2).tolist() == [1.0] * 5


def test_agreement_is_seeded_split_by_split() -> None:
    vectors = drawn(5, 80)
    values = split_half_agreement(vectors, seed=1)
    assert np.array_equal(values, split_half_agreement(vectors, seed=1))
    assert not np.array_equal(values, split_half_agreement(vectors, seed=2))
    assert np.array_equal(values[:3], split_half_agreement(vectors, seed=1, splits=3))


@given(st.lists(st.integers(0, 3), min_size=4, max_size=12))
def test_the_index_is_the_corrected_share_of_pairs(answer: list[int]) -> None:
    """scikit-learn's index against its definition over pairs, for the way in which it is used here."""
    other = [value // 2 for value in answer]
    pairs = list(combinations(range(len(answer)), 2))
    one = np.array([answer[a] == answer[b] for a, b in pairs])
    two = np.array([other[a] == other[b] for a, b in pairs])
    expected = one.sum() * two.sum() / len(pairs)
    most = (one.sum() + two.sum()) / 2
    slow = 1.0 if most == expected else ((one & two).sum() - expected) / (most - expected)
    assert adjusted_rand_score(answer, other) == pytest.approx(slow)


def test_tolerance_compares_with_other_texts() -> None:
    vectors, noisy = drawn(1), drawn(1) + 0.3 * drawn(2)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, noisy)]
    within = np.mean([((a - b) ** 2).sum() for a, b in zip(*unit, strict=True)])
    between = np.mean([((a - b) ** 2).sum() for a, b in combinations(unit[0], 2)])
    assert noise_tolerance(vectors, noisy) == pytest.approx(1 - within / between, abs=1e-6)
    assert noise_tolerance(vectors, vectors) == pytest.approx(1, abs=1e-6)
    assert noise_tolerance(np.ones((5, 3)), np.ones((5, 3))) == 0.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=20))
def test_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(side) for side in zip(*pairs, strict=True))
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert rank_correlation(one, other) is None
        return

    def ranks(values: np.ndarray) -> list[float]:
        return [(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values]

    assert rank_correlation(one, other) == pytest.approx(np.corrcoef(ranks(one), ranks(other))[0, 1])
