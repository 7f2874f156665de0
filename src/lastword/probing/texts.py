"""The texts of a probe: a sample of a file or list, and a noisy copy of each text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.augment import NOISES, noisy
from lastword.bundled import path_of
from lastword.errors import RequestError
from lastword.evaluation.labels import require_labels, require_same_length
from lastword.evaluation.local import BUNDLED
from lastword.files.inputs import sample_rows
from lastword.files.sources import Source, TableFile
from lastword.files.tables import read_texts

LEAST_TEXTS = 20
"""With fewer, half of the texts cannot be clustered, and ten neighbours are most of the others."""

FewShot = tuple[list[int], list[int]]
"""Rows for training and for testing."""


@dataclass(frozen=True)
class ProbeTexts:
    """What is embedded.

    Attributes:
        texts: n texts.
        noisy: n copies with words deleted, two words swapped and letters swapped, where a text is long
            enough; see `lastword.augment`.
        labels: n labels, or None.
        available: number of texts before sampling.
        source: file, split or list that they come from, for messages and results.
    """

    texts: list[str]
    noisy: list[str]
    labels: list[str] | None
    available: int
    source: str

    def __len__(self) -> int:
        return len(self.texts)


def load_texts(
    data: Source | Sequence[str],
    labels: Sequence[str] | None,
    text_column: str,
    label_column: str | None,
    split: str | None,
    drop_empty: bool,
    max_texts: int | None,
    seed: int,
) -> ProbeTexts:
    """Read a file, the bundled "topics" or "products", or take a list; arguments as for `probe`.

    Raises:
        MissingFileError, TableError, RequestError: see the message.
    """
    if not isinstance(data, str | Path | TableFile):
        return sampled(list(data), labels, "the list", max_texts, seed)
    if labels is not None:
        raise RequestError("labels of a file are in one of its columns: give label_column")
    file = path_of(str(data)) if str(data) in BUNDLED else data
    columns, where = [label_column] if label_column else [], {"split": split} if split else None
    cells = read_texts(file, [text_column], labels=columns, where=where, drop_empty=drop_empty)
    source = f"{data} (split {split!r})" if split else str(data)
    of_texts = cells[label_column] if label_column else None
    return sampled(cells[text_column], of_texts, source, max_texts, seed)


def sampled(
    texts: Sequence[str], labels: Sequence[str] | None, source: str, most: int | None, seed: int
) -> ProbeTexts:
    """Draw at most `most` texts, the same ones for a seed, and make a noisy copy of each.

    Raises:
        RequestError: too few texts, not one label per text, or fewer than two different labels.
    """
    if labels is not None:
        require_same_length(texts, labels)
    rows = sample_rows(len(texts), most, seed)
    if len(rows) < LEAST_TEXTS:
        raise RequestError(f"{source} has {len(rows)} texts: a probe needs at least {LEAST_TEXTS}")
    chosen = [texts[row] for row in rows]
    chosen_labels = None if labels is None else [labels[row] for row in rows]
    if chosen_labels is not None:
        sample = source if len(rows) == len(texts) else f"the sample of {len(rows)} texts from {source}"
        require_labels(chosen_labels, "a probe", sample)
    copies = [noisy(texts[row], tuple(NOISES), random.Random(f"{seed}/{row}")) for row in rows]
    return ProbeTexts(chosen, copies, chosen_labels, len(texts), source)


def few_shot_rows(labels: Sequence[str], samples_per_label: int, seed: int) -> FewShot | None:
    """Split the rows into halves for training and testing, within each label that has enough texts.

    A label has enough if half of its texts are `samples_per_label` or more.

    Returns:
        Rows for training and for testing; None if fewer than two labels have enough texts.

    Raises:
        RequestError: samples_per_label below 1.
    """
    if samples_per_label < 1:
        raise RequestError(f"samples_per_label={samples_per_label}: give 1 or more")
    count = Counter(labels)
    usable = sorted(label for label in count if count[label] // 2 >= samples_per_label)
    if len(usable) < 2:
        return None
    train: list[int] = []
    test: list[int] = []
    for label in usable:
        rows = [row for row, label_of_row in enumerate(labels) if label_of_row == label]
        random.Random(f"{seed}/{label}").shuffle(rows)
        train += rows[: len(rows) // 2]
        test += rows[len(rows) // 2 :]
    return sorted(train), sorted(test)
