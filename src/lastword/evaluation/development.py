"""A development score: what a training may look at to choose its checkpoint. Never a test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lastword.bundled import path_of
from lastword.encoder import TextEncoder, encode_distinct
from lastword.errors import RequestError
from lastword.evaluation.local import BUNDLED
from lastword.evaluation.scores import require_labels, vectors_cluster_score
from lastword.files.tables import read_texts
from lastword.uncertainty import Score, combine, resamples, sample_hash

Development = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Name of a set → its texts and their labels."""
BUNDLED_DEVELOPMENT = tuple(f"{name}:dev" for name in BUNDLED)
_BOOTSTRAP_SIZE = 4096  # a quarter of mteb's: only differences between checkpoints matter here


class ClusterScorer:
    """V-measure of k-means on labelled development texts, averaged over sets.

    Attributes:
        sets: name → (texts, labels).
        criterion: what it measures and on what.
    """

    def __init__(self, sets: Development) -> None:
        for name, (_, labels) in sets.items():
            require_labels(labels, "clustering", name)
        self.sets = sets
        self.criterion = f"V-measure on {' and '.join(sets)}"

    def __call__(self, embedder: TextEncoder) -> Score:
        """Mean V-measure over the sets, 0 … 1."""
        return combine([_cluster_score(embedder, texts, labels) for texts, labels in self.sets.values()])


def _cluster_score(embedder: TextEncoder, texts: Sequence[str], labels: Sequence[str]) -> Score:
    vectors, names = encode_distinct(embedder, texts), np.array(labels)
    found = vectors_cluster_score(vectors, labels, bootstrap_size=_BOOTSTRAP_SIZE)

    def of(rows: np.ndarray) -> list[float]:
        half = vectors_cluster_score(vectors[rows], names[rows].tolist(), bootstrap_size=len(rows))
        return [half.score]

    sample = sample_hash([*texts, *labels])
    return Score("v_measure", found.score, (), resamples(of, len(texts)), len(texts), sample)


def read_development(
    given: Sequence[str],
    *,
    text_column: str = "text",
    label_columns: Sequence[str] = ("label",),
    split: str | None = None,
    drop_empty: bool = False,
) -> dict[str, tuple[list[str], list[str]]]:
    """Read labelled development texts; rows of other splits are left behind here.

    Args:
        given: files, or the bundled "topics" and "products"; `FILE:SPLIT` keeps the rows whose column
            `split` has that value.
        text_column: column of the texts.
        label_columns: columns of labels; each makes a set of its own.
        split: for files that are given without one.
        drop_empty: leave out rows without text or label instead of refusing the file.

    Returns:
        Name → (texts, labels); the name is that of the file, with the split and, of several, the column.

    Raises:
        MissingFileError, TableError: see the message.
        RequestError: two sets of one name, or labels that leave nothing to tell apart.
    """
    sets: dict[str, tuple[list[str], list[str]]] = {}
    for one in given:
        path, own_split = _file_and_split(one)
        chosen = own_split or split
        where = {"split": chosen} if chosen else None
        for column in label_columns:
            name = path.stem + (f" ({chosen})" if chosen else "")
            name += f", {column}" if len(label_columns) > 1 else ""
            if name in sets:
                raise RequestError(f"two development sets are called {name!r}: rename a file")
            cells = read_texts(path, [text_column, column], where=where, drop_empty=drop_empty)
            require_labels(cells[column], "clustering", name)
            sets[name] = (cells[text_column], cells[column])
    return sets


def _file_and_split(given: str) -> tuple[Path, str | None]:
    """Take `FILE:SPLIT` apart; a file whose own name has a colon in it is one."""
    name, colon, split = given.rpartition(":")
    if not colon or Path(given).is_file():
        name, split = given, ""
    return (path_of(name) if name in BUNDLED else Path(name)), split or None
