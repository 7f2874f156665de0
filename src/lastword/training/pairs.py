"""Pairs from files: anchor, positive and hard negatives, or two texts and a score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from lastword.bundled import PATHS
from lastword.config import TrainConfig
from lastword.errors import TableError
from lastword.files.delimited import DEFAULTS
from lastword.files.pairs import PairRow, read_graded_rows, read_pair_rows
from lastword.files.sources import Source, TableFile, table_file


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts with the same meaning, or graded pairs.

    Attributes:
        anchors: n texts.
        positives: n texts, each with the meaning of its anchor; of graded pairs, the other text.
        negatives: n lists of texts, each similar to its anchor but with another meaning; lists may be empty.
        scores: n numbers, how similar the texts of each graded pair are; empty for pairs of the same meaning.
        files: n numbers of the files that they are from.
    """

    anchors: list[str]
    positives: list[str]
    negatives: list[list[str]]
    scores: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list, compare=False)

    def __len__(self) -> int:
        return len(self.anchors)

    def take(self, rows: Sequence[int]) -> Pairs:
        """The pairs of the given rows."""
        return Pairs(
            [self.anchors[row] for row in rows],
            [self.positives[row] for row in rows],
            [self.negatives[row] for row in rows],
            [self.scores[row] for row in rows] if self.scores else [],
            [self.files[row] for row in rows] if self.files else [],
        )


def pair_files(config: TrainConfig) -> list[TableFile]:
    """The files of pairs that a training run reads, with the encoding and the delimiter that its settings give."""
    return [TableFile(file, config.encoding, config.delimiter) for file in config.pairs]


def pair_rows(config: TrainConfig) -> list[PairRow]:
    """The rows of all files of pairs that a training run reads."""
    return [row for file in pair_files(config) for row in read_pair_rows(PATHS.get(str(file), file))]


def read_pairs(
    files: Sequence[Source], *, drop_empty: bool = False, header_rows: bool = False, graded: bool = False
) -> Pairs:
    """Read and concatenate files of pairs.

    Args:
        files: as `read_pair_rows` reads them; "pairs" and "subjects" are bundled ones.
        drop_empty: leave out pairs with an empty side instead of refusing the file.
        header_rows: read the first line of CSV and TSV files as a pair too.
        graded: read pairs with a score instead, as `read_graded_rows` does.

    Raises:
        MissingFileError: a file does not exist.
        TableError: a missing column, empty or non-text cells, fewer than two pairs in all, or graded pairs of a file
            with one score.
    """
    pairs = Pairs([], [], [])
    for number, file in enumerate(files):
        source = PATHS.get(str(file), file)
        if graded:
            _add_graded(pairs, source, drop_empty)
            pairs.files.extend([number] * (len(pairs) - len(pairs.files)))
            continue
        rows = read_pair_rows(source, drop_empty=drop_empty)
        has_header = header_rows and table_file(source).format in DEFAULTS
        header: list[PairRow] = [("anchor", "positive", [])] if has_header else []
        for anchor, positive, negatives in chain(header, rows):
            pairs.anchors.append(anchor)
            pairs.positives.append(positive)
            pairs.negatives.append(negatives)
            pairs.files.append(number)
    if len(pairs) < 2:
        names = ", ".join(str(file) for file in files)
        raise TableError(f"{names}: {len(pairs)} pair; contrastive training needs at least 2, better 1,000")
    return pairs


def _add_graded(pairs: Pairs, source: Source, drop_empty: bool) -> None:
    """Append the graded pairs of a file."""
    before = len(pairs)
    for first, second, score in read_graded_rows(source, drop_empty=drop_empty):
        pairs.anchors.append(first)
        pairs.positives.append(second)
        pairs.negatives.append([])
        pairs.scores.append(score)
    if len(set(pairs.scores[before:])) < 2:
        raise TableError(
            f"{source}: all graded pairs have the score {pairs.scores[-1]:g}; give pairs that are more and less alike"
        )


def hold_out(pairs: Pairs, share: float, most: int, seed: int) -> tuple[Pairs, Pairs]:
    """Hold out anchors with all of their pairs, so that no held-out anchor is trained on.

    Pairs whose positive is a held-out anchor are left out too, and such negatives.

    Args:
        pairs: all pairs.
        share: share of the distinct anchors to hold out, 0 to 1; fewer where more than this share of the pairs would
            be left out because of their positives.
        most: largest number of anchors to hold out.
        seed: seed of the choice.

    Returns:
        The pairs to train on, and one pair of each held-out anchor.
    """
    anchors = list(dict.fromkeys(pairs.anchors))
    count, spare = min(most, int(len(anchors) * share)), share * len(pairs)
    uses = Counter(
        positive
        for anchor, positive in zip(pairs.anchors, pairs.positives, strict=True)
        if anchor != positive
    )
    chosen = set[str]()
    for i in np.random.default_rng(seed).permutation(len(anchors)):
        if len(chosen) < count and uses[anchors[i]] <= spare:
            chosen.add(anchors[i])
            spare -= uses[anchors[i]]
    training_rows, first_row = [], dict[str, int]()
    for row, (anchor, positive) in enumerate(zip(pairs.anchors, pairs.positives, strict=True)):
        if anchor in chosen:
            first_row.setdefault(anchor, row)
        elif positive not in chosen:
            training_rows.append(row)
    training = pairs.take(training_rows)
    negatives = [[text for text in texts if text not in chosen] for texts in training.negatives]
    return replace(training, negatives=negatives), pairs.take(list(first_row.values()))
