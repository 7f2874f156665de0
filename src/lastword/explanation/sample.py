"""The texts that are looked at: a fixed sample of a file, the same for every model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.bundled import NAMES, path_of
from lastword.errors import RequestError
from lastword.explanation.models import Subject
from lastword.files.tables import read_texts

_SHOWN = 2  # texts of the file that are shown whole where none is given


@dataclass(frozen=True)
class Columns:
    """Where in a file the texts are.

    Attributes:
        text: column of the texts.
        positive: column of texts that mean the same, or None.
        label: column of labels, or None.
    """

    text: str = "text"
    positive: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Sample:
    """The texts that are looked at.

    Attributes:
        texts: n texts of the file.
        positives: the other side of each, or None.
        labels: the label of each, or None.
        held: texts in the file.
        shown: texts that are shown whole.
    """

    texts: list[str]
    positives: list[str] | None
    labels: list[str] | None
    held: int
    shown: list[str]


def read_sample(
    data: str | Path,
    columns: Columns,
    shown: Sequence[str] = (),
    *,
    max_texts: int,
    seed: int,
    drop_empty: bool = False,
) -> Sample:
    """Read a file and draw from it, in the order of the file.

    Args:
        data: a file, or a bundled one's name.
        columns: its columns.
        shown: texts to show whole; the first two of the sample if there are none.
        max_texts: texts at most.
        seed: of the draw.
        drop_empty: leave out rows without text.

    Raises:
        MissingFileError, TableError, RequestError: see the message.
    """
    if max_texts < 1:
        raise RequestError(f"max_texts={max_texts}: give 1 or more")
    path = path_of(str(data)) if str(data) in NAMES else Path(data)
    names = [name for name in (columns.text, columns.positive, columns.label) if name]
    cells = read_texts(path, names, drop_empty=drop_empty)
    held = len(cells[columns.text])
    rows = sorted(random.Random(seed).sample(range(held), min(max_texts, held)))
    drawn = {name: [column[row] for row in rows] for name, column in cells.items()}
    texts = drawn[columns.text]
    return Sample(
        texts,
        drawn[columns.positive] if columns.positive else None,
        drawn[columns.label] if columns.label else None,
        held,
        list(shown) or texts[:_SHOWN],
    )


class SameTokens:
    """Refuses a model that cuts the texts into other tokens: shares of tokens would not compare."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.first: tuple[str, list[list[int]]] | None = None

    def require(self, subject: Subject) -> None:
        """Compare with the first model.

        Raises:
            RequestError: other tokens.
        """
        ids = subject.embedder.tokenizer.text_ids(self.texts)
        if self.first is None:
            self.first = subject.name, ids
        elif ids != self.first[1]:
            raise RequestError(
                f"{subject.name} splits the texts into other tokens than {self.first[0]}: attention compares "
                "between models of one tokenizer only; explain them apart"
            )
