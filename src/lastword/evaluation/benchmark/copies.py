"""Local copies in place of the Hub: tables of labelled texts, and folders as downloaded.

A table is converted to the form that mteb gets from the Hub, and mteb's own `dataset_transform` does the rest, so
that the task is the same. `TABLES` lists the tasks that can be read from a table; any task can be read from
DIR/OWNER/NAME, the folder that `hf download OWNER/NAME --repo-type dataset --local-dir DIR/OWNER/NAME` makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.errors import TableError
from lastword.evaluation.benchmark.hub import missing_data
from lastword.files.sources import FORMATS
from lastword.files.typed import read_table

Rows = dict[str, tuple[list[str], list[int]]]
"""Split → texts and coded labels."""


@dataclass(frozen=True)
class Form:
    """How a table becomes the data of a task.

    Attributes:
        known: another name of the file, as in the collection it comes from.
        raw: rows to what the task gets from the Hub.
        labels: in the order of mteb's codes; empty for alphabetical order.
        subset: the only one in the table; None where the task has no others.
    """

    known: str
    raw: Callable[[Rows], Any]
    labels: tuple[str, ...] = ()
    subset: str | None = None


def _splits(rows: Rows, label: str = "label") -> Any:
    from datasets import Dataset, DatasetDict

    columns = {split: {"text": texts, label: codes} for split, (texts, codes) in rows.items()}
    return DatasetDict({split: Dataset.from_dict(cells) for split, cells in columns.items()})


def _masakhanews(rows: Rows) -> Any:
    """Five sets in the order of the file, as on the Hub."""
    import numpy as np
    from datasets import Dataset, DatasetDict

    sets = [part.tolist() for part in np.array_split(np.arange(len(rows["test"][0])), 5)]
    texts, codes = rows["test"]
    columns = {
        "sentences": [[texts[row] for row in part] for part in sets],
        "labels": [[codes[row] for row in part] for part in sets],
    }
    return {"eng": DatasetDict(test=Dataset.from_dict(columns))}


TABLES = {
    "SIB200ClusteringS2S": Form(
        "clustering/sib200_eng", lambda rows: {"eng_Latn": _splits(rows, label="category")}
    ),
    "MasakhaNEWSClusteringS2S": Form(
        "clustering/masakhanews_eng", _masakhanews,
        ("business", "entertainment", "health", "politics", "religion", "sports", "technology"),
    ),
    "EmotionClassification": Form(
        "classification/emotion", _splits, ("sadness", "joy", "love", "anger", "fear", "surprise")
    ),
    "Banking77Classification": Form("classification/banking77", _splits),
    "TweetSentimentExtractionClassification": Form(
        "classification/tweet_sentiment_extraction", _splits, ("negative", "neutral", "positive")
    ),
    "AmazonCounterfactualClassification": Form(
        "classification/amazon_counterfactual_en", lambda rows: {"en": _splits(rows)},
        ("not-counterfactual", "counterfactual"), "en",
    ),
}  # fmt: skip
"""Task → form of a table with the columns text, label and split."""


def local_copy(task: Any, folder: Path) -> Path | None:
    """The downloaded folder in `folder`, or else the table, with a task's texts; None for neither."""
    downloaded = folder / str(task.metadata.dataset["path"])
    if downloaded.is_dir():
        return downloaded
    name = task.metadata.name
    if form := TABLES.get(name):
        for stem in (name, form.known, Path(form.known).name):
            for suffix in FORMATS:
                if (path := folder / f"{stem}{suffix}").is_file():
                    return path
    return None


def load_copy(task: Any, copy: Path) -> None:
    """Give a task the texts of its local copy.

    Raises:
        MissingDataError: the table or folder does not have them.
    """
    with missing_data(f"{copy} cannot be used"):
        (_load_folder if copy.is_dir() else _load_table)(task, copy)


def hash_copy(copy: Path) -> str:
    """Hash of a table, or of the names, sizes and times of a folder's files."""
    if copy.is_file():
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    digest = hashlib.sha256()
    for path in sorted(copy.rglob("*")):
        status = path.stat()
        digest.update(f"{path.relative_to(copy)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _load_folder(task: Any, folder: Path) -> None:
    """Let the task load itself, from the folder instead of the Hub."""
    metadata = task.metadata
    # An absolute path: a bare name would be looked up on the Hub.
    settings = {key: value for key, value in metadata.dataset.items() if key not in ("path", "revision")}
    dataset = {**settings, "path": str(folder.absolute()), "revision": "main"}
    task.metadata = metadata.model_copy(update={"dataset": dataset})
    try:
        task.load_data()
    finally:
        task.metadata = metadata


def _load_table(task: Any, path: Path) -> None:
    form = TABLES[task.metadata.name]
    if form.subset:
        task.hf_subsets = [form.subset]
    task.dataset = form.raw(_read_rows(path, form.labels))
    task.dataset_transform()
    task.data_loaded = True


def _read_rows(path: Path, labels: Sequence[str]) -> Rows:
    """Read text, label and split; empty texts are kept, since mteb's own sets have some."""
    table = read_table(path, ["text", "label", "split"])
    texts, names, splits = (table.column(name).to_pylist() for name in ("text", "label", "split"))
    codes = {name: code for code, name in enumerate(labels or sorted({str(name) for name in names}))}
    if all(isinstance(name, int) for name in names):
        codes = {str(name): name for name in names}
    rows: Rows = {}
    for text, name, split in zip(texts, names, splits, strict=True):
        if not isinstance(text, str) or not isinstance(split, str):
            raise TableError(f"{path} has a row whose text or split is not text")
        if str(name) not in codes:
            raise TableError(f"{path} has the label {name!r}; known are: {', '.join(codes)}")
        column = rows.setdefault(split, ([], []))
        column[0].append(text)
        column[1].append(codes[str(name)])
    return rows
