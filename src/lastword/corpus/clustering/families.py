"""GROUPS → A HIERARCHY: which groups belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Merge:
    """Two groups, or what was merged before, become one.

    Attributes:
        left, right: numbers of groups, 0 … groups - 1, or groups + i for the result of merge i.
        distance: Ward's, between the two.
        groups: all groups in the result.
    """

    left: int
    right: int
    distance: float
    groups: list[int]


def merges(centroids: np.ndarray) -> list[Merge]:
    """The hierarchy of groups, nearest first; (groups, dim) → groups - 1 merges.

    Source: Ward, "Hierarchical grouping to optimize an objective function", 1963; here on the centroids.
    """
    from scipy.cluster.hierarchy import linkage

    count = len(centroids)
    if count < 2:
        return []
    members = {number: [number] for number in range(count)}
    found = []
    for step, (left, right, distance, _) in enumerate(linkage(centroids, "ward").tolist()):
        members[count + step] = sorted(members[int(left)] + members[int(right)])
        found.append(Merge(int(left), int(right), distance, members[count + step]))
    return found


def families(hierarchy: list[Merge]) -> np.ndarray:
    """The family of each group, (groups,): about √groups families, numbered by their first group."""
    count = len(hierarchy) + 1
    family = {number: [number] for number in range(count)}
    for step, merge in enumerate(hierarchy[: count - max(1, round(math.sqrt(count)))]):
        family[count + step] = family.pop(merge.left) + family.pop(merge.right)
    numbers = np.empty(count, np.int32)
    for number, members in enumerate(sorted(family.values(), key=min)):
        numbers[members] = number
    return numbers
