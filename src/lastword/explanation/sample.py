"""The texts of an explanation: a fixed sample of a file, the same for every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.bundled import NAMES, path_of
from lastword.files.inputs import sample_rows
from lastword.files.tables import read_texts

_DETAILED = 2  # texts of the file that are shown token by token by default


@dataclass(frozen=True)
class Columns:
    """Columns to read.

    Attributes:
        text: column of the texts.
        positive: column of texts with the same meaning, or None.
        label: column of labels, or None.
    """

    text: str = "text"
    positive: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Sample:
    """Texts of a file.

    Attributes:
        texts: n texts of the file.
        positives: the positive of each text, or None.
        labels: the label of each text, or None.
        texts_in_file: number of texts in the file.
        detailed: texts to show token by token.
    """

    texts: list[str]
    positives: list[str] | None
    labels: list[str] | None
    texts_in_file: int
    detailed: list[str]


def read_sample(
    data: str | Path,
    columns: Columns,
    detailed: Sequence[str] = (),
    *,
    max_texts: int,
    seed: int,
    drop_empty: bool = False,
) -> Sample:
    """Read a file and draw a sample, in the order of the file.

    Args:
        data: a file, or the name of a bundled one.
        columns: its columns.
        detailed: texts to show token by token; by default the first two of the sample.
        max_texts: maximum number of texts.
        seed: of the sample.
        drop_empty: leave out rows without text.

    Raises:
        MissingFileError, TableError, RequestError: see the message.
    """
    path = path_of(str(data)) if str(data) in NAMES else Path(data)
    names = [name for name in (columns.text, columns.positive) if name]
    labels = [columns.label] if columns.label else []
    cells = read_texts(path, names, labels=labels, drop_empty=drop_empty)
    total = len(cells[columns.text])
    rows = sample_rows(total, max_texts, seed)
    sampled = {name: [column[row] for row in rows] for name, column in cells.items()}
    texts = sampled[columns.text]
    return Sample(
        texts,
        sampled[columns.positive] if columns.positive else None,
        sampled[columns.label] if columns.label else None,
        total,
        list(detailed) or texts[:_DETAILED],
    )
