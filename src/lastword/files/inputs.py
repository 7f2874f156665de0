"""What is scored on: labelled texts, pairs with a score, a collection with queries; read from files."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lastword.console import warn
from lastword.errors import MissingFileError, RequestError, TableError
from lastword.files.tables import columns_of, read_table, read_texts


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, their labels, and the words that tell a person where they are from."""

    texts: list[str]
    labels: list[str]
    where: str

    @classmethod
    def read(cls, path: Path, columns: tuple[str, str], split: str | None, drop_empty: bool) -> LabelledTexts:
        """Read a column of texts and one of labels, of all rows or of one split."""
        cells = read_texts(path, columns, where={"split": split} if split else None, drop_empty=drop_empty)
        return cls(cells[columns[0]], cells[columns[1]], _place(path, split))

    def sample(self, most: int | None, seed: int) -> LabelledTexts:
        """Draw at most so many, always the same ones, and keep their order."""
        rows = sample_rows(len(self.texts), most, seed)
        if len(rows) == len(self.texts):
            return self
        texts, labels = [self.texts[row] for row in rows], [self.labels[row] for row in rows]
        return LabelledTexts(texts, labels, f"the sample of {most} texts from {self.where}")


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of texts, how alike people find each, and where they are from."""

    first: list[str]
    second: list[str]
    scores: list[float]
    where: str

    @classmethod
    def read(cls, path: Path, columns: tuple[str, str], score_column: str, split: str | None) -> ScoredPairs:
        """Read two columns of texts and one of numbers, of all rows or of one split.

        Raises:
            MissingFileError, TableError: see the message.
        """
        texts = read_texts(path, columns, where={"split": split} if split else None)
        table = read_table(path)
        if split:
            kept = [cell == split for cell in table.column("split").to_pylist()]
            table = table.filter(pa.array(kept))
        scores = _numbers(
            path, columns_of(table, path, [score_column]).column(score_column).to_pylist(), score_column
        )
        return cls(texts[columns[0]], texts[columns[1]], scores, _place(path, split))

    def sample(self, most: int | None, seed: int) -> ScoredPairs:
        """Draw at most so many, always the same ones, and keep their order."""
        rows = sample_rows(len(self.scores), most, seed)
        if len(rows) == len(self.scores):
            return self
        first, second = [self.first[row] for row in rows], [self.second[row] for row in rows]
        scores = [self.scores[row] for row in rows]
        return ScoredPairs(first, second, scores, f"the sample of {most} pairs from {self.where}")


@dataclass(frozen=True)
class Collection:
    """Documents, queries, and which documents answer which query.

    Attributes:
        documents: id → title and text.
        queries: id → text; only those that have a relevant document.
        relevant: id of a query → id of a document → grade, above 0 for a relevant one.
        where: where they are from.
    """

    documents: dict[str, tuple[str, str]]
    queries: dict[str, str]
    relevant: dict[str, dict[str, int]]
    where: str

    @classmethod
    def read(cls, folder: Path, split: str) -> Collection:
        """Read a folder in the layout of BEIR: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.

        Raises:
            MissingFileError, TableError: see the message.
        """
        if not folder.is_dir():
            raise MissingFileError(
                f"no folder {folder}: retrieval needs one with corpus.jsonl, queries.jsonl and qrels/{split}.tsv"
            )
        documents = {
            row["_id"]: (row.get("title") or "", row["text"]) for row in _json_lines(folder / "corpus.jsonl")
        }
        queries = {row["_id"]: row["text"] for row in _json_lines(folder / "queries.jsonl")}
        path = folder / "qrels" / f"{split}.tsv"
        relevant = {query: grades for query, grades in _qrels(path).items() if query in queries}
        judged = {document for grades in relevant.values() for document in grades}
        if absent := sorted(judged - documents.keys()):
            warn(
                f"{len(absent)} of {len(judged)} documents that {path} judges are not in the corpus "
                f"(such as {absent[0]!r}): they count as never found"
            )
        answered = {
            query for query, grades in relevant.items() if any(grade > 0 for grade in grades.values())
        }
        if not answered or len(absent) == len(judged):
            raise TableError(f"{path} has no query of queries.jsonl with a relevant document of corpus.jsonl")
        return cls(
            documents,
            {query: text for query, text in queries.items() if query in answered},
            {query: grades for query, grades in relevant.items() if query in answered},
            _place(folder, split),
        )


def two_columns(names: str) -> tuple[str, str]:
    """The two columns of a pair, with a comma between them.

    Raises:
        RequestError: not two names.
    """
    parts = [part.strip() for part in names.split(",")]
    if len(parts) != 2 or not all(parts):
        raise RequestError(
            f"text_column={names!r}: give the two columns of a pair, such as sentence1,sentence2"
        )
    return parts[0], parts[1]


def _place(path: Path, split: str | None) -> str:
    return f"{path} (split {split!r})" if split else str(path)


def sample_rows(count: int, most: int | None, seed: int) -> list[int]:
    """At most so many of the rows 0 … `count` - 1, in their order; always the same for a seed.

    Raises:
        RequestError: `most` is below 1.
    """
    if most is None or most >= count:
        return list(range(count))
    if most < 1:
        raise RequestError(f"max_texts={most}: give 1 or more, or nothing for all")
    return sorted(random.Random(seed).sample(range(count), most))


def _numbers(path: Path, cells: list[Any], name: str) -> list[float]:
    numbers = []
    for row, cell in enumerate(cells):
        try:
            number = float(cell)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise TableError(f"{path}: {name!r} of row {row} is {cell!r}, not a number (rows counted from 0)")
        numbers.append(number)
    return numbers


def _json_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise MissingFileError(f"no file {path}: retrieval needs corpus.jsonl, queries.jsonl and qrels")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("_id", "text")):
            raise TableError(f"{path}, line {number}: give an object with the texts _id and text")
        rows.append(row)
    return rows


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in path.parent.glob("*.tsv"))) or "none"
        raise MissingFileError(f"no file {path}: choose another split (--split); there are: {there}")
    relevant: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        cells = line.rstrip("\r").split("\t")
        if not line.strip() or (number == 1 and cells[-1] == "score"):
            continue
        try:
            query, document, grade = cells
            relevant.setdefault(query, {})[document] = int(grade)
        except ValueError:
            raise TableError(f"{path}, line {number}: give query-id, corpus-id and a whole score") from None
    return relevant
