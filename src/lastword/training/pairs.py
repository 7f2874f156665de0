"""Positive pairs from files: anchor, positive and hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from lastword.bundled import PATHS
from lastword.errors import TableError
from lastword.files.delimited import DEFAULTS
from lastword.files.pairs import PairRow, read_pair_rows
from lastword.files.sources import Source, table_file


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts with the same meaning.

    Attributes:
        anchors: n texts.
        positives: n texts, each with the meaning of its anchor.
        negatives: n lists of texts, each similar to its anchor but with another meaning; lists may be empty.
    """

    anchors: list[str]
    positives: list[str]
    negatives: list[list[str]]

    def __len__(self) -> int:
        return len(self.anchors)

    def take(self, rows: Sequence[int]) -> Pairs:
        """The pairs of the given rows."""
        return Pairs(
            [self.anchors[row] for row in rows],
            [self.positives[row] for row in rows],
            [self.negatives[row] for row in rows],
        )


def read_pairs(files: Sequence[Source], *, drop_empty: bool = False, header_rows: bool = False) -> Pairs:
    """Read and concatenate files of pairs.

    Args:
        files: as `read_pair_rows` reads them; "pairs" is the bundled one.
        drop_empty: leave out pairs with an empty side instead of refusing the file.
        header_rows: read the first line of CSV and TSV files as a pair too.

    Raises:
        MissingFileError: a file does not exist.
        TableError: a missing column, empty or non-text cells, or fewer than two pairs in all.
    """
    pairs = Pairs([], [], [])
    for file in files:
        source = PATHS.get(str(file), file)
        rows = read_pair_rows(source, drop_empty=drop_empty)
        has_header = header_rows and table_file(source).format in DEFAULTS
        header: list[PairRow] = [("anchor", "positive", [])] if has_header else []
        for anchor, positive, negatives in chain(header, rows):
            pairs.anchors.append(anchor)
            pairs.positives.append(positive)
            pairs.negatives.append(negatives)
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
