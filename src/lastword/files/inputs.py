"""Data to score on, read from files: labelled texts, pairs with a score, a collection with queries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lastword.arguments import whole_number
from lastword.console import warn
from lastword.errors import MissingFileError, RequestError, TableError
from lastword.files.formats import BLOCK_ROWS
from lastword.files.sources import Source, TableFile, table_file
from lastword.files.tables import Kind, read_chunks, read_texts


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels.

    Attributes:
        texts: n texts.
        labels: n labels.
        where: file and split, for messages.
    """

    texts: list[str]
    labels: list[str]
    where: str

    @classmethod
    def read(
        cls, source: Source, columns: tuple[str, str], split: str | None, drop_empty: bool
    ) -> LabelledTexts:
        """Read a column of texts and one of labels, of all rows or of one split.

        Raises:
            MissingFileError, TableError: see the message.
        """
        text, label = columns
        cells = read_texts(source, [text], labels=[label], where=_condition(split), drop_empty=drop_empty)
        return cls(cells[text], cells[label], _origin(source, split))

    def sample(self, most: int | None, seed: int) -> LabelledTexts:
        """Draw at most `most` texts, the same ones for the same seed, in their order."""
        rows = sample_rows(len(self.texts), most, seed)
        if len(rows) == len(self.texts):
            return self
        texts, labels = [self.texts[row] for row in rows], [self.labels[row] for row in rows]
        return LabelledTexts(texts, labels, f"the sample of {most} texts from {self.where}")


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of texts and how similar people find them.

    Attributes:
        first, second: n texts each.
        scores: n similarities.
        where: file and split, for messages.
    """

    first: list[str]
    second: list[str]
    scores: list[float]
    where: str

    @classmethod
    def read(
        cls,
        source: Source,
        columns: tuple[str, str],
        score_column: str,
        split: str | None,
        drop_empty: bool = False,
    ) -> ScoredPairs:
        """Read two columns of texts and one of numbers, of all rows or of one split.

        Raises:
            MissingFileError, TableError: see the message.
        """
        cells = read_texts(
            source, columns, numbers=[score_column], where=_condition(split), drop_empty=drop_empty
        )
        scores = [float(score) for score in cells[score_column]]
        return cls(cells[columns[0]], cells[columns[1]], scores, _origin(source, split))

    def sample(self, most: int | None, seed: int) -> ScoredPairs:
        """Draw at most `most` pairs, the same ones for the same seed, in their order."""
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
        where: folder and split, for messages.
    """

    documents: dict[str, tuple[str, str]]
    queries: dict[str, str]
    relevant: dict[str, dict[str, int]]
    where: str

    @classmethod
    def read(cls, source: Source, split: str) -> Collection:
        """Read a folder in the layout of BEIR: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.

        Raises:
            MissingFileError, TableError: see the message.
        """
        folder, encoding = Path(source), table_file(source).encoding
        if not folder.is_dir():
            raise MissingFileError(
                f"no folder {folder}: retrieval needs one with corpus.jsonl, queries.jsonl and qrels/{split}.tsv"
            )
        documents = {
            key: (title, text) for key, text, title in _beir_texts(folder / "corpus.jsonl", encoding)
        }
        queries = {key: text for key, text, _ in _beir_texts(folder / "queries.jsonl", encoding)}
        path = folder / "qrels" / f"{split}.tsv"
        relevant = {query: grades for query, grades in _qrels(path, encoding).items() if query in queries}
        judged = {document for grades in relevant.values() for document in grades}
        if absent := sorted(judged - documents.keys()):
            warn(
                f"{len(absent)} of {len(judged)} documents in {path} are not in the corpus "
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
            _origin(folder, split),
        )


def two_columns(names: str) -> tuple[str, str]:
    """The two columns of a pair, separated by a comma.

    Raises:
        RequestError: not two names.
    """
    parts = [part.strip() for part in names.split(",")]
    if len(parts) != 2 or not all(parts):
        raise RequestError(
            f"text_column={names!r}: give the two columns of a pair, such as sentence1,sentence2"
        )
    return parts[0], parts[1]


def sample_rows(count: int, most: int | None, seed: int) -> list[int]:
    """At most `most` of the rows 0 … `count` - 1, in their order; the same ones for the same seed.

    Raises:
        RequestError: `most` is no whole number, or below 1.
    """
    if most is not None:
        most = whole_number("max_texts", most, least=1)
    if most is None or most >= count:
        return list(range(count))
    return sorted(random.Random(seed).sample(range(count), most))


def _condition(split: str | None) -> dict[str, str] | None:
    return {"split": split} if split else None


def _origin(source: Source, split: str | None) -> str:
    return f"{source} (split {split!r})" if split else str(source)


def _beir_texts(path: Path, encoding: str | None) -> Iterator[tuple[str, str, str]]:
    """Id, text and title of each document or query; a text may be empty."""
    if not path.is_file():
        raise MissingFileError(f"no file {path}: retrieval needs corpus.jsonl, queries.jsonl and qrels")
    kinds: dict[str, Kind] = {"_id": "label", "text": "blank"}
    for chunk in read_chunks(TableFile(path, encoding), kinds, BLOCK_ROWS, optional=["title"]):
        yield from zip(*(chunk.columns[name] for name in ("_id", "text", "title")), strict=True)


def _qrels(path: Path, encoding: str | None) -> dict[str, dict[str, int]]:
    """Id of a query → id of a document → grade; the header line is optional in BEIR's files."""
    if not path.is_file():
        splits = ", ".join(sorted(file.stem for file in path.parent.glob("*.tsv"))) or "none"
        raise MissingFileError(f"no file {path}: choose another split; there are: {splits}")
    relevant: dict[str, dict[str, int]] = {}
    with TableFile(path, encoding).open_text() as file:
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\n").split("\t")
            if not line.strip() or (number == 1 and cells[-1] == "score"):
                continue
            try:
                query, document, grade = cells
                relevant.setdefault(query, {})[document] = int(grade)
            except ValueError:
                raise TableError(
                    f"{path}, line {number}: give query-id, corpus-id and an integer score"
                ) from None
    return relevant
