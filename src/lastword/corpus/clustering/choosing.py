"""How many groups: figures for each of several numbers, and the number that they speak for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lastword.console import progress
from lastword.corpus.clustering.partition import Centroids, k_means, one_thread

NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 34, 40, 50)
"""Numbers of groups that are tried."""
TEXTS = 4000
"""Numbers are tried on at most so many texts."""
_SILHOUETTE_TEXTS = 1500
_SPLITS = 4
LEAST_TEXTS = 10
"""Texts of a group, on average, with the largest number that is tried."""
_SHARE = 0.9


@dataclass(frozen=True)
class Candidate:
    """A number of groups.

    Attributes:
        groups: the number.
        information: what the groups found on one half of the texts say about those found on the other half, in nats:
            mutual information less that expected by chance; mean of several splits.
        agreement: adjusted Rand index of the two, 0 (chance) … 1.
        silhouette: mean silhouette, -1 … 1.
    """

    groups: int
    information: float
    agreement: float
    silhouette: float


def try_numbers(points: np.ndarray, seed: int, numbers: Sequence[int] = NUMBERS) -> list[Candidate]:
    """Figures for each number of groups that n points allow.

    Args:
        points: (n, dim).
        seed: of the splits and of k-means.
        numbers: to try; those that would leave few texts to a group are left out.

    Returns:
        The candidates; none for few texts.

    Source: halves: Lange et al., "Stability-based validation of clustering solutions", 2004; expected mutual
        information: Vinh et al. 2010; adjusted Rand index: Hubert and Arabie 1985; silhouette: Rousseeuw 1987.
    """
    from sklearn.metrics import silhouette_score

    random = np.random.default_rng(seed)
    points = points[random.permutation(len(points))[:TEXTS]]
    most = len(np.unique(points, axis=0)) // LEAST_TEXTS
    tried = [number for number in numbers if number <= most]
    splits = [random.permutation(len(points)) for _ in range(_SPLITS)]
    candidates = []
    with progress("trying numbers of groups", len(tried)) as advance, one_thread():
        for number in tried:
            information, agreement = np.mean(
                [_agreement(points, number, split, seed) for split in splits], axis=0
            )
            some = points[:_SILHOUETTE_TEXTS]
            groups, _ = Centroids(k_means(points, number, seed, starts=2)).assign(some)
            several = 1 < len(np.unique(groups)) < len(some)
            silhouette = float(silhouette_score(some, groups)) if several else 0.0
            candidates.append(Candidate(number, float(information), float(agreement), silhouette))
            advance(1)
    return candidates


def best_number(candidates: Sequence[Candidate]) -> int:
    """The fewest groups with at least 0.9 of the highest information; 2 without candidates.

    Agreement and silhouette alone favour two or three groups of any texts: few groups are found again easily, and
    lie far apart. So do Calinski-Harabasz and the gap statistic. Information grows with the number of
    groups as long as halves of the texts give the same ones. A larger share than 0.9 is nearer to 20 labels and more,
    and further from fewer than 10.
    """
    if not candidates:
        return NUMBERS[0]
    highest = max(candidate.information for candidate in candidates)
    return min(each.groups for each in candidates if each.information >= _SHARE * highest)


def reason(candidates: Sequence[Candidate]) -> str:
    """Why the number, as a sentence."""
    if not candidates:
        return f"{NUMBERS[0]} groups: there are too few different texts to compare other numbers"
    chosen = next(each for each in candidates if each.groups == best_number(candidates))
    highest = max(candidates, key=lambda each: each.information)
    return (
        f"{chosen.groups} groups: the fewest with {_SHARE:.0%} of the information that two halves of the texts share "
        f"({chosen.information:.2f} nats; the most are {highest.information:.2f}, with {highest.groups} groups)"
    )


def _agreement(points: np.ndarray, number: int, order: np.ndarray, seed: int) -> tuple[float, float]:
    """Information and adjusted Rand index of the groups that two halves give to all points."""
    from sklearn.metrics import adjusted_rand_score, mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    halves = np.array_split(order, 2)
    first, second = (
        Centroids(k_means(points[half], number, seed, starts=2)).assign(points)[0] for half in halves
    )
    table = contingency_matrix(first, second, sparse=True).astype(np.int64)
    by_chance = expected_mutual_information(table, len(points))
    information = mutual_info_score(first, second, contingency=table) - by_chance
    return float(information), float(adjusted_rand_score(first, second))
