"""Checks of labels before anything is embedded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lastword.arguments import whole_number
from lastword.errors import RequestError

SEED = 42
"""mteb's own seed."""

Label = str | int


def require_labels(labels: Sequence[Label], task: str, where: object = "the list of labels") -> None:
    """Refuse fewer than two different labels."""
    distinct = list(dict.fromkeys(labels))
    if len(distinct) < 2:
        present = f"one label only ({distinct[0]!r})" if distinct else "no labels"
        raise RequestError(f"{where} has {present}: {task} needs at least two")


def require_samples(
    labels: Sequence[Label], samples_per_label: int, where: object = "the training set"
) -> None:
    """Refuse to draw more texts of a label than there are."""
    samples_per_label = whole_number("samples_per_label", samples_per_label, least=1)
    label, count = Counter(labels).most_common()[-1]
    if count < samples_per_label:
        raise RequestError(
            f"{where}: label {label!r} has only {count} of samples_per_label={samples_per_label}; "
            f"add texts or ask for at most {count}"
        )


def require_same_length(texts: Sequence[str], labels: Sequence[Label]) -> None:
    """Refuse texts and labels of different number."""
    if len(texts) != len(labels):
        raise RequestError(f"{len(texts)} texts and {len(labels)} labels: give one label per text")


def coded(labels: Sequence[Label], known: Sequence[Label] | None = None) -> np.ndarray:
    """Labels as numbers 0, 1, 2 … in their order as text; (n,).

    Args:
        labels: n labels.
        known: labels that have a number; None takes those of the list itself.
    """
    distinct = sorted(set(labels if known is None else known), key=str)
    codes = {label: code for code, label in enumerate(distinct)}
    return np.array([codes[label] for label in labels])
