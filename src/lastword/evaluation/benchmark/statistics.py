"""Whether texts are those of mteb: compared with the statistics in the mteb package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

EQUAL = "equal to mteb's statistics"
UNKNOWN = "mteb has no statistics of it"
_MOST_TEXTS = 500_000  # of more, only the number is compared: a training split may have millions


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of one split of one subset: numbers of texts, characters, distinct texts, and texts of each label."""

    texts: int
    characters: int
    distinct: int
    labels: dict[str, int]


def verdict(task: Any) -> str:
    """Compare the loaded texts of a task with mteb's descriptive statistics.

    Returns:
        `EQUAL`, `UNKNOWN`, or the differences, split by split.
    """
    known = task.metadata.descriptive_stats
    if not known:
        return UNKNOWN
    differences = []
    for subset, split, data in splits_of(task):
        expected = _expected(known, subset, split)
        if expected is None or (len(data) == expected.texts > _MOST_TEXTS):
            continue
        texts, labels = columns_of(task, data)
        counts = dict(Counter(map(str, labels)))
        actual = SplitStatistics(len(texts), sum(map(len, texts)), len(set(texts)), counts)
        where = split if subset == "default" else f"{subset}, {split}"
        differences += [f"{where}: {line}" for line in _differences(actual, expected)]
    return "; ".join(differences) or EQUAL


def splits_of(task: Any) -> Iterator[tuple[str, str, Any]]:
    """Subset, split and data; the training split of a classification included."""
    splits = list(task.eval_splits)
    train = getattr(task, "train_split", None)
    if train and train not in splits:
        splits.append(train)
    for subset in task.hf_subsets:
        data = task.dataset.get(subset, task.dataset)
        for split in splits:
            yield subset, split, data[split]


def columns_of(task: Any, data: Any) -> tuple[list[str], list[Any]]:
    """Texts and labels of a split."""
    return _flat(data[task.input_column_name]), _flat(data[task.label_column_name])


def _flat(cells: Iterable[Any]) -> list[Any]:
    """Flatten cells that are lists: the sets of a legacy clustering, labels with levels."""
    cells = list(cells)
    if cells and isinstance(cells[0], list):
        return [cell for inner in cells for cell in inner]
    return cells


def _expected(known: dict[str, Any], subset: str, split: str) -> SplitStatistics | None:
    of_split = known.get(split)
    if of_split is not None and subset != "default":
        of_split = of_split.get("hf_subset_descriptive_stats", {}).get(subset)
    if not of_split or not of_split.get("text_statistics"):
        return None
    labels = of_split.get("labels_statistics") or of_split.get("label_statistics") or {}
    counts = {label: entry["count"] for label, entry in labels.get("labels", {}).items()}
    text = of_split["text_statistics"]
    return SplitStatistics(of_split["num_samples"], text["total_text_length"], text["unique_texts"], counts)


def _differences(actual: SplitStatistics, expected: SplitStatistics) -> list[str]:
    if actual.texts != expected.texts and len(actual.labels) == len(expected.labels):
        return [f"{actual.texts:,} texts, mteb has {expected.texts:,}"]
    lines = [
        f"{count:,} {unit}, mteb has {mtebs:,}"
        for unit, count, mtebs in (
            ("texts", actual.texts, expected.texts),
            ("characters", actual.characters, expected.characters),
            ("distinct texts", actual.distinct, expected.distinct),
            ("labels", len(actual.labels), len(expected.labels)),
        )
        if count != mtebs
    ]
    if not lines and expected.labels and actual.labels != expected.labels:
        lines = ["the labels have other numbers of texts than in mteb"]
    return lines
