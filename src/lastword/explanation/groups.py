"""TEXTS → GROUPS: by label, or by k-means of the vectors; each with the words nearest to its middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastword.errors import RequestError
from lastword.explanation.vocabulary import Vocabulary, Word

_EXAMPLES = 3


@dataclass(frozen=True)
class Group:
    """Texts that belong together.

    Attributes:
        name: the label, or "cluster 1" …, largest first.
        size: how many texts.
        words: nearest to the mean vector of the group; None without an output head.
        apart: nearest to that mean less the mean of all texts: what sets the group apart.
        examples: texts nearest to the middle of the group.
    """

    name: str
    size: int
    words: list[Word] | None
    apart: list[str] | None
    examples: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        words = None if self.words is None else [word.to_dict() for word in self.words]
        return {
            "name": self.name, "size": self.size, "words": words, "apart": self.apart, "examples": self.examples,
        }  # fmt: skip


def require_groups(clusters: int | None, labels: Sequence[str] | None, n: int) -> None:
    """Refuse groups that cannot be made, before anything is computed."""
    if clusters is None:
        return
    if labels is not None:
        raise RequestError(f"clusters={clusters} and a column of labels: the groups come from one of them")
    if not 1 <= clusters <= n:
        raise RequestError(f"clusters={clusters}: there are {n} texts; give 1 … {n}")


def rows_by_label(labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Label → rows, largest group first."""
    rows = {
        label: np.array([i for i, own in enumerate(labels) if own == label]) for label in sorted(set(labels))
    }
    return dict(sorted(rows.items(), key=lambda item: -len(item[1])))


def rows_by_cluster(vectors: np.ndarray, clusters: int, seed: int) -> dict[str, np.ndarray]:
    """ "cluster 1" … → rows, largest first; k-means of the vectors at length 1, best of ten starts."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import normalize

    own = KMeans(clusters, n_init=10, random_state=seed).fit_predict(normalize(vectors))
    groups = sorted(
        (np.flatnonzero(own == k) for k in range(clusters)), key=lambda rows: (-len(rows), *rows[:1])
    )
    return {f"cluster {place}": rows for place, rows in enumerate(groups, start=1) if len(rows)}


def describe_groups(
    rows_of: dict[str, np.ndarray],
    vectors: np.ndarray,
    texts: Sequence[str],
    vocabulary: Vocabulary | None,
    words: int,
) -> list[Group]:
    """Say what each group is about.

    Args:
        rows_of: name → rows.
        vectors: (n, dim), not scaled.
        texts: n texts.
        vocabulary: of the model, if it has one.
        words: words of each group.
    """
    middle = vectors.mean(0)
    found = []
    for name, rows in rows_of.items():
        centroid = vectors[rows].mean(0)
        found.append(
            Group(
                name,
                len(rows),
                vocabulary.nearest(centroid, words) if vocabulary else None,
                apart(vocabulary, centroid, middle, words),
                [texts[row] for row in _nearest_rows(vectors[rows], centroid, rows)],
            )
        )
    return found


def apart(
    vocabulary: Vocabulary | None, vector: np.ndarray, middle: np.ndarray, words: int
) -> list[str] | None:
    """Words nearest to what sets a vector apart from the mean of all; none where nothing does."""
    if vocabulary is None:
        return None
    difference = vector - middle
    if not np.linalg.norm(difference) > 1e-6 * np.linalg.norm(middle):
        return []
    return [word.word for word in vocabulary.nearest(difference, words)]


def _nearest_rows(vectors: np.ndarray, centroid: np.ndarray, rows: np.ndarray) -> list[int]:
    """Rows of the vectors of the highest cosine with the centroid."""
    lengths = np.linalg.norm(vectors, axis=1) + 1e-12
    order = np.argsort(-(vectors @ centroid) / lengths, kind="stable")
    return [int(row) for row in rows[order[:_EXAMPLES]]]
