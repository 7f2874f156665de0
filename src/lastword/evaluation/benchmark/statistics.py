"""Whether texts are those of mteb: compared with the statistics that mteb ships with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

EQUAL = "equal to mteb's statistics"
UNKNOWN = "mteb has no statistics of it"
_MOST_TEXTS = 500_000  # of more, only the number is compared: a training split may hold millions


@dataclass(frozen=True)
class Found:
    """What stands in one split of one subset.

    Attributes:
        texts: how many.
        characters: of all texts.
        distinct: texts that differ.
        labels: label → texts that have it.
    """

    texts: int
    characters: int
    distinct: int
    labels: dict[str, int]


def verdict(task: Any) -> str:
    """Compare the loaded texts of a task with mteb's descriptive statistics.

    Returns:
        `EQUAL`, `UNKNOWN`, or what differs, split by split.
    """
    known = task.metadata.descriptive_stats
    if not known:
        return UNKNOWN
    differences = []
    for subset, split, data in splits_of(task):
        expected = _expected(known, subset, split)
        if expected is None or (len(data) == expected.texts > _MOST_TEXTS):
            continue
        found = _found(*columns_of(task, data))
        where = split if subset == "default" else f"{subset}, {split}"
        differences += [f"{where}: {line}" for line in _differences(found, expected)]
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
    """A legacy clustering holds lists in its cells, and some labels are lists of levels."""
    cells = list(cells)
    if cells and isinstance(cells[0], list):
        return [cell for inner in cells for cell in inner]
    return cells


def _found(texts: Sequence[str], labels: Sequence[Any]) -> Found:
    return Found(
        len(texts), sum(map(len, texts)), len(set(texts)), dict(Counter(str(label) for label in labels))
    )


def _expected(known: dict[str, Any], subset: str, split: str) -> Found | None:
    facts = known.get(split)
    if facts is not None and subset != "default":
        facts = facts.get("hf_subset_descriptive_stats", {}).get(subset)
    if not facts or not facts.get("text_statistics"):
        return None
    labels = facts.get("labels_statistics") or facts.get("label_statistics") or {}
    counts = {label: entry["count"] for label, entry in labels.get("labels", {}).items()}
    text = facts["text_statistics"]
    return Found(facts["num_samples"], text["total_text_length"], text["unique_texts"], counts)


def _differences(found: Found, expected: Found) -> list[str]:
    if found.texts != expected.texts and len(found.labels) == len(expected.labels):
        return [f"{found.texts:,} texts, mteb has {expected.texts:,}"]
    lines = [
        f"{have:,} {what}, mteb has {want:,}"
        for what, have, want in (
            ("texts", found.texts, expected.texts),
            ("characters", found.characters, expected.characters),
            ("distinct texts", found.distinct, expected.distinct),
            ("labels", len(found.labels), len(expected.labels)),
        )
        if have != want
    ]
    if not lines and expected.labels and found.labels != expected.labels:
        lines = ["the labels have other numbers of texts than mteb's"]
    return lines
