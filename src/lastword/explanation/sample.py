"""The texts of an explanation: a fixed sample of a file, the same for every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lastword.bundled import PATHS
from lastword.files.inputs import sample_rows
from lastword.files.sources import Source
from lastword.files.tables import read_texts

_DETAILED = 2  # texts of the file that are shown token by token by default


@dataclass(frozen=True)
class Sample:
    """Texts of a file, with positives and labels if their columns were named; `detailed` are shown token by token."""

    texts: list[str]
    positives: list[str] | None
    labels: list[str] | None
    texts_in_file: int
    detailed: list[str]


def read_sample(
    data: Source,
    text_column: str = "text",
    positive_column: str | None = None,
    label_column: str | None = None,
    detailed: Sequence[str] = (),
    *,
    max_texts: int,
    seed: int,
    drop_empty: bool = False,
) -> Sample:
    """Read a file and draw a sample, in the order of the file; arguments as for `explain`.

    Raises:
        MissingFileError, TableError, RequestError: see the message.
    """
    names = [text_column, *([positive_column] if positive_column else [])]
    labels = [label_column] if label_column else []
    cells = read_texts(PATHS.get(str(data), data), names, labels=labels, drop_empty=drop_empty)
    total = len(cells[text_column])
    rows = sample_rows(total, max_texts, seed)
    sampled = {name: [column[row] for row in rows] for name, column in cells.items()}
    texts = sampled[text_column]
    positives, of_rows = (sampled[name] if name else None for name in (positive_column, label_column))
    return Sample(texts, positives, of_rows, total, list(detailed) or texts[:_DETAILED])
