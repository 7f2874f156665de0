"""Positive pairs from files: anchor, positive, and where there is one a hard negative."""

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
    """Pairs of texts that mean the same.

    Attributes:
        anchors: n texts.
        positives: n texts, each with the meaning of its anchor.
        negatives: n texts, each near its anchor but of another meaning; "" where there is none.
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
    """Read and join files with the columns `anchor`, `positive` and perhaps `negative`.

    Args:
        files: Parquet, JSON lines, CSV or TSV files; "pairs" is the bundled one.
        drop_empty: leave out pairs with an empty side instead of refusing the file.
        header_rows: take the first line of CSV and TSV files for a pair too (as the paper's own code does).

    Raises:
        MissingFileError, TableError: see the message.
    """
    joined = Pairs([], [], [])
    for file in files:
        path = path_of(str(file)) if str(file) in NAMES else file
        columns = read_texts(path, ["anchor", "positive"], optional=["negative"], drop_empty=drop_empty)
        if header_rows and Path(path).suffix.lower() in (".csv", ".tsv"):
            columns = {name: ["" if name == "negative" else name, *cells] for name, cells in columns.items()}
        joined.anchors.extend(columns["anchor"])
        joined.positives.extend(columns["positive"])
        joined.negatives.extend(columns.get("negative", [""] * len(columns["anchor"])))
    if len(joined) < 2:
        names = ", ".join(str(file) for file in files)
        raise TableError(f"{names}: {len(joined)} pair; contrastive training needs at least 2, better 1,000")
    return joined


def hold_out(pairs: Pairs, share: float, most: int, seed: int) -> tuple[Pairs, Pairs]:
    """Split off whole anchors, so that no held-out anchor is trained on.

    Returns:
        The pairs to train on, and one pair for each held-out anchor.
    """
    anchors = list(dict.fromkeys(pairs.anchors))
    count = min(most, int(len(anchors) * share))
    chosen = {anchors[i] for i in np.random.default_rng(seed).permutation(len(anchors))[:count]}
    kept = [row for row, anchor in enumerate(pairs.anchors) if anchor not in chosen]
    first: dict[str, int] = {}
    for row, anchor in enumerate(pairs.anchors):
        if anchor in chosen:
            first.setdefault(anchor, row)
    return pairs.take(kept), pairs.take(list(first.values()))
