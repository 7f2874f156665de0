"""The texts that a probe looks at: a sample of a file or of a list, and a lightly damaged copy of each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.augment import NOISES, noisy
from lastword.bundled import path_of
from lastword.errors import RequestError
from lastword.evaluation.labels import require_labels
from lastword.evaluation.local import BUNDLED
from lastword.files.inputs import sample_rows
from lastword.files.tables import read_texts

LEAST_TEXTS = 20
"""Fewer cannot be clustered in halves, nor have ten neighbours each that mean something."""


@dataclass(frozen=True)
class ProbeTexts:
    """What is embedded.

    Attributes:
        texts: n texts.
        damaged: n copies with a word dropped, two words swapped and two letters swapped, where a text allows it.
        labels: n labels, or None.
        count: texts that there were before the sample.
        where: the words that tell a person where they are from.
    """

    texts: list[str]
    damaged: list[str]
    labels: list[str] | None
    count: int
    where: str

    def __len__(self) -> int:
        return len(self.texts)


def read_file(
    data: str | Path,
    text_column: str,
    label_column: str | None,
    split: str | None,
    drop_empty: bool,
) -> tuple[list[str], list[str] | None, str]:
    """Texts, labels and place of a file, or of the bundled "topics" or "products".

    Raises:
        MissingFileError, TableError: see the message.
    """
    path = path_of(str(data)) if str(data) in BUNDLED else Path(data)
    columns = [text_column, *([label_column] if label_column else [])]
    cells = read_texts(path, columns, where={"split": split} if split else None, drop_empty=drop_empty)
    place = f"{data} (split {split!r})" if split else str(data)
    return cells[text_column], cells[label_column] if label_column else None, place


def sampled(
    texts: Sequence[str], labels: Sequence[str] | None, where: str, most: int | None, seed: int
) -> ProbeTexts:
    """Draw at most so many texts, always the same ones for a seed, and damage a copy of each.

    Raises:
        RequestError: too few texts, not one label per text, or labels that tell nothing apart.
    """
    if labels is not None and len(labels) != len(texts):
        raise RequestError(f"{len(texts)} texts and {len(labels)} labels: give one label per text")
    rows = sample_rows(len(texts), most, seed)
    if len(rows) < LEAST_TEXTS:
        raise RequestError(f"{where} has {len(rows)} texts: a probe needs at least {LEAST_TEXTS}")
    chosen = [texts[row] for row in rows]
    kept = None if labels is None else [labels[row] for row in rows]
    if kept is not None:
        place = where if len(rows) == len(texts) else f"the sample of {len(rows)} texts from {where}"
        require_labels(kept, "a probe", place)
    damaged = [
        noisy(text, tuple(NOISES), random.Random(f"{seed}/{row}"))
        for row, text in zip(rows, chosen, strict=True)
    ]
    return ProbeTexts(chosen, damaged, kept, len(texts), where)


def few_shot_rows(
    labels: Sequence[str], samples_per_label: int, seed: int
) -> tuple[list[int], list[int]] | None:
    """Rows to learn from and rows to test on: half of the texts of each label that has enough of them.

    A label takes part if half of its texts are `samples_per_label` or more.

    Returns:
        Rows for training and for testing; None if fewer than two labels have enough texts.

    Raises:
        RequestError: samples_per_label below 1.
    """
    if samples_per_label < 1:
        raise RequestError(f"samples_per_label={samples_per_label}: give 1 or more")
    count = Counter(labels)
    able = sorted(label for label in count if count[label] // 2 >= samples_per_label)
    if len(able) < 2:
        return None
    train: list[int] = []
    test: list[int] = []
    for label in able:
        rows = [row for row, own in enumerate(labels) if own == label]
        random.Random(f"{seed}/{label}").shuffle(rows)
        train += rows[: len(rows) // 2]
        test += rows[len(rows) // 2 :]
    return sorted(train), sorted(test)
