"""TEXTS → GROUPS: by label, or by k-means of the vectors; each with the words nearest to its mean vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lastword.embedding.vocabulary import Vocabulary, Word
from lastword.errors import RequestError

_EXAMPLES = 3


@dataclass(frozen=True)
class Group:
    """Texts of one label or cluster.

    Attributes:
        name: the label, or "cluster 1" …, largest first.
        size: number of texts.
        words: nearest to the mean vector of the group; None without an output head.
        distinctive: nearest to that mean minus the mean of all texts.
        examples: the texts nearest to the mean of the group.
    """

    name: str
    size: int
    words: list[Word] | None
    distinctive: list[str] | None
    examples: list[str]


def require_groups(clusters: int | None, labels: Sequence[str] | None, n: int) -> None:
    """Check a request for clusters before anything is computed.

    Raises:
        RequestError: clusters and labels, or a number of clusters that is out of range.
    """
    if clusters is None:
        return
    if labels is not None:
        raise RequestError(f"clusters={clusters} and a label column: give one of them")
    if not 1 <= clusters <= n:
        raise RequestError(f"clusters={clusters}: there are {n} texts; give 1 … {n}")


def rows_by_label(labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Label → rows, largest group first."""
    array = np.array(labels, dtype=object)
    rows = {label: np.flatnonzero(array == label) for label in sorted(set(labels))}
    return dict(sorted(rows.items(), key=lambda item: -len(item[1])))


def rows_by_cluster(vectors: np.ndarray, clusters: int, seed: int) -> dict[str, np.ndarray]:
    """ "cluster 1" … → rows, largest first; k-means of the normalized vectors, best of ten starts."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import normalize

    assigned = KMeans(clusters, n_init=10, random_state=seed).fit_predict(normalize(vectors))
    groups = sorted(
        (np.flatnonzero(assigned == k) for k in range(clusters)), key=lambda rows: (-len(rows), *rows[:1])
    )
    return {f"cluster {number}": rows for number, rows in enumerate(groups, start=1) if len(rows)}


def describe_groups(
    rows_of: Mapping[str, np.ndarray],
    vectors: np.ndarray,
    texts: Sequence[str],
    vocabulary: Vocabulary | None,
    words: int,
) -> list[Group]:
    """Words and examples for each group of rows of the (n, dim) vectors, which are not normalized."""
    mean = vectors.mean(0)
    groups = []
    for name, rows in rows_of.items():
        centroid = vectors[rows].mean(0)
        groups.append(
            Group(
                name=name,
                size=len(rows),
                words=vocabulary.nearest(centroid, words) if vocabulary else None,
                distinctive=distinctive_words(vocabulary, centroid, mean, words),
                examples=[texts[row] for row in _nearest_rows(vectors[rows], centroid, rows)],
            )
        )
    return groups


def distinctive_words(
    vocabulary: Vocabulary | None, vector: np.ndarray, mean: np.ndarray, words: int
) -> list[str] | None:
    """Words nearest to a vector minus the mean of all vectors; none if the vector is the mean."""
    if vocabulary is None:
        return None
    difference = vector - mean
    if not np.linalg.norm(difference) > 1e-6 * np.linalg.norm(mean):
        return []
    return [word.word for word in vocabulary.nearest(difference, words)]


def _nearest_rows(vectors: np.ndarray, centroid: np.ndarray, rows: np.ndarray) -> list[int]:
    """Rows of the vectors with the highest cosine to the centroid."""
    lengths = np.linalg.norm(vectors, axis=1) + 1e-12
    order = np.argsort(-(vectors @ centroid) / lengths, kind="stable")
    return [int(row) for row in rows[order[:_EXAMPLES]]]
