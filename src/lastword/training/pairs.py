"""Positive pairs from files: anchor, positive and an optional hard negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword.bundled import NAMES, path_of
from lastword.errors import TableError
from lastword.files.tables import read_texts


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts with the same meaning.

    Attributes:
        anchors: n texts.
        positives: n texts, each with the meaning of its anchor.
        negatives: n texts, each similar to its anchor but with another meaning; "" where there is none.
    """

    anchors: list[str]
    positives: list[str]
    negatives: list[str]

    def __len__(self) -> int:
        return len(self.anchors)

    def take(self, rows: Sequence[int]) -> Pairs:
        """The pairs of the given rows."""
        columns = (self.anchors, self.positives, self.negatives)
        return Pairs(*([column[row] for row in rows] for column in columns))


def read_pairs(files: Sequence[str | Path], *, drop_empty: bool = False, header_rows: bool = False) -> Pairs:
    """Read and concatenate files with the columns `anchor`, `positive` and optionally `negative`.

    Args:
        files: Parquet, JSON lines, CSV or TSV files; "pairs" is the bundled one.
        drop_empty: leave out pairs with an empty side instead of refusing the file.
        header_rows: read the first line of CSV and TSV files as a pair too.

    Raises:
        MissingFileError: a file does not exist.
        TableError: a missing column, empty or non-text cells, or fewer than two pairs in all.
    """
    pairs = Pairs([], [], [])
    for file in files:
        path = path_of(str(file)) if str(file) in NAMES else file
        columns = read_texts(path, ["anchor", "positive"], optional=["negative"], drop_empty=drop_empty)
        if header_rows and Path(path).suffix.lower() in (".csv", ".tsv"):
            columns = {name: ["" if name == "negative" else name, *cells] for name, cells in columns.items()}
        pairs.anchors.extend(columns["anchor"])
        pairs.positives.extend(columns["positive"])
        pairs.negatives.extend(columns.get("negative", [""] * len(columns["anchor"])))
    if len(pairs) < 2:
        names = ", ".join(str(file) for file in files)
        raise TableError(f"{names}: {len(pairs)} pair; contrastive training needs at least 2, better 1,000")
    return pairs


def hold_out(pairs: Pairs, share: float, most: int, seed: int) -> tuple[Pairs, Pairs]:
    """Hold out anchors with all of their pairs, so that no held-out anchor is trained on.

    Args:
        pairs: all pairs.
        share: share of the distinct anchors to hold out, 0 to 1.
        most: largest number of anchors to hold out.
        seed: seed of the choice.

    Returns:
        The pairs to train on, and one pair of each held-out anchor.
    """
    anchors = list(dict.fromkeys(pairs.anchors))
    count = min(most, int(len(anchors) * share))
    chosen = {anchors[i] for i in np.random.default_rng(seed).permutation(len(anchors))[:count]}
    training_rows, first_row = [], dict[str, int]()
    for row, anchor in enumerate(pairs.anchors):
        if anchor in chosen:
            first_row.setdefault(anchor, row)
        else:
            training_rows.append(row)
    return pairs.take(training_rows), pairs.take(list(first_row.values()))
