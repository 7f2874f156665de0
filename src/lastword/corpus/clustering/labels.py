"""GROUPS AND LABELS: how far groups agree with labels that are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SHUFFLES = 5


@dataclass(frozen=True)
class Agreement:
    """How far groups agree with labels; unclustered texts count as one group more.

    Attributes:
        column: of the labels.
        labelled: texts with a label.
        unlabelled: the others, which are left out.
        labels: number of different labels.
        v_measure: harmonic mean of homogeneity and completeness, 0 … 1.
        chance: V-measure of the same groups and shuffled labels.
        ami: adjusted mutual information, 0 for chance.
        purity: share of texts with the most frequent label of their group.
        confusion: label → group → texts; only groups that have some.
    """

    column: str
    labelled: int
    unlabelled: int
    labels: int
    v_measure: float
    chance: float
    ami: float
    purity: float
    confusion: dict[str, dict[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        rounded = {name: round(getattr(self, name), 4) for name in ("v_measure", "chance", "ami", "purity")}
        return vars(self) | rounded

    def of_group(self, group: int) -> tuple[str | None, float | None]:
        """The most frequent label of a group, and its share of the labelled texts there."""
        counts = {label: row[group] for label, row in self.confusion.items() if group in row}
        if not counts:
            return None, None
        label = max(counts, key=lambda each: counts[each])
        return label, counts[label] / sum(counts.values())


def agreement(column: str, labels: Sequence[str | None], groups: np.ndarray, seed: int) -> Agreement:
    """Compare groups with labels.

    Args:
        column: of the labels.
        labels: n labels; None is without one.
        groups: (n,) numbers.
        seed: of the shuffled labels.

    Source: V-measure: Rosenberg and Hirschberg 2007; AMI: Vinh et al. 2010.
    """
    from sklearn.metrics import adjusted_mutual_info_score, v_measure_score

    known = np.array([label is not None for label in labels])
    chosen, of = np.array([label for label in labels if label is not None], dtype=object), groups[known]
    distinct = sorted(set(chosen))
    codes = np.searchsorted(np.array(distinct, dtype=object), chosen)
    random = np.random.default_rng(seed)
    shuffled = [v_measure_score(random.permutation(codes), of) for _ in range(_SHUFFLES)]
    counts = Counter(zip(chosen.tolist(), of.tolist(), strict=True))
    confusion: dict[str, dict[int, int]] = {label: {} for label in distinct}
    for (label, group), count in sorted(counts.items()):
        confusion[label][group] = count
    best = Counter[int]()
    for (_, group), count in counts.items():
        best[group] = max(best[group], count)
    return Agreement(
        column, len(chosen), len(labels) - len(chosen), len(distinct), float(v_measure_score(codes, of)),
        float(np.mean(shuffled)), float(adjusted_mutual_info_score(codes, of)), sum(best.values()) / len(chosen),
        confusion,
    )  # fmt: skip
