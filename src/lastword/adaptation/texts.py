"""The texts that are worked with: a fixed sample of the distinct texts of a corpus, split into three parts."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lastword.adaptation.request import Request, name_of, plain
from lastword.console import progress
from lastword.errors import TableError
from lastword.files.run_folder import replace
from lastword.files.tables import usable_label

TRAINING, DEVELOPMENT, TEST = "training", "development", "test"
_TEST_SHARE, _MOST_TEST = 5, 1000  # one text of five
_DEVELOPMENT_SHARE, _MOST_DEVELOPMENT = 10, 500
_LONGEST = 10_000  # characters; what is beyond is far outside the model's tokens


@dataclass(frozen=True)
class Part:
    """Some texts of the sample.

    Attributes:
        texts: n distinct texts.
        labels: n labels, None where a text has none.
    """

    texts: list[str]
    labels: list[str | None]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def known_labels(self) -> list[str]:
        """The labels of a part in which all texts have one."""
        return [label for label in self.labels if label is not None]


@dataclass(frozen=True)
class Sample:
    """Distinct texts of a corpus; no text is in two parts.

    Attributes:
        training: pairs are made of these.
        development: these choose template, pooling, layer and checkpoint.
        test: these compare the models, and serve nothing else.
        rows: rows of the corpus.
    """

    training: Part
    development: Part
    test: Part
    rows: int

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [*self.training.texts, *self.development.texts, *self.test.texts]


def draw_sample(request: Request, seed: int) -> Sample:
    """Read the whole corpus once, in constant memory, and keep a uniform sample of its distinct texts.

    With labels, development and test texts are drawn from those that have one, training texts from all others.

    Raises:
        TableError: a label for each text or two.
    """
    every, labelled = (_Reservoir(request.max_texts, seed) for _ in range(2))
    rows = 0
    with progress("reading texts", request.corpus.count(), 1) as advance:
        for chunk in request.corpus.chunks():
            labels: Sequence[str | None] = [None] * len(chunk.texts)
            if request.label_column:
                labels = [usable_label(cell) for cell in chunk.table[request.label_column].to_pylist()]
            for text, label in zip(chunk.texts, labels, strict=True):
                every.add(text, label)
                if label is not None:
                    labelled.add(text, label)
            rows += chunk.read
            advance(chunk.read)
    scored = (labelled if request.label_column else every).sorted()
    if request.label_column:
        _require_categories(scored, request.label_column, name_of(request.corpus))
    test, development = part_sizes(len(scored))
    development += test
    held_back = {row.key for row in scored[:development]}
    known = {row.key: row for row in scored}  # a text may have a label in one row and none in another
    training = [known.get(row.key, row) for row in every.sorted() if row.key not in held_back]
    return Sample(
        _part(training[: request.max_texts - development]),
        _part(scored[test:development]),
        _part(scored[:test]),
        rows,
    )


def part_sizes(scored: int) -> tuple[int, int]:
    """Test and development texts of so many that may be scored."""
    return min(scored // _TEST_SHARE, _MOST_TEST), min(scored // _DEVELOPMENT_SHARE, _MOST_DEVELOPMENT)


def write_sample(sample: Sample, folder: Path) -> None:
    """Write a file for each part; the folder appears when all are there."""
    partial = folder.with_name(f"{folder.name}.tmp")
    partial.mkdir(exist_ok=True)
    for name in (TRAINING, DEVELOPMENT, TEST):
        part: Part = getattr(sample, name)
        columns = {"text": pa.array(part.texts, pa.string()), "label": pa.array(part.labels, pa.string())}
        pq.write_table(
            pa.table(columns).replace_schema_metadata({"rows": str(sample.rows)}), partial / f"{name}.parquet"
        )
    replace(partial, folder)


def read_sample(folder: Path) -> Sample:
    """Read what `write_sample` wrote."""
    tables = [pq.read_table(folder / f"{name}.parquet") for name in (TRAINING, DEVELOPMENT, TEST)]
    parts = [Part(table["text"].to_pylist(), table["label"].to_pylist()) for table in tables]
    training, development, test = parts
    return Sample(training, development, test, int(tables[0].schema.metadata[b"rows"]))


@dataclass(frozen=True, order=True)
class _Row:
    """A text in a random order that follows from the text."""

    order: int
    key: bytes = field(compare=False)
    text: str = field(compare=False)
    label: str | None = field(compare=False)


class _Reservoir:
    """The distinct texts with the smallest hashes: a uniform sample in which a text that is repeated counts once."""

    def __init__(self, most: int, seed: int) -> None:
        self.most, self.seed = most, seed
        self._heap: list[_Row] = []
        self._keys: set[bytes] = set()

    def add(self, text: str, label: str | None) -> None:
        """Take a text, if it belongs to the sample so far; of equal ones the first."""
        key = hashlib.blake2b(f"{self.seed}/{plain(text)}".encode(), digest_size=16).digest()
        order = -int.from_bytes(key)
        if key in self._keys or (len(self._heap) == self.most and order < self._heap[0].order):
            return
        row = _Row(order, key, text[:_LONGEST], label)
        self._keys.add(key)
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, row)
        else:
            self._keys.remove(heapq.heapreplace(self._heap, row).key)

    def sorted(self) -> list[_Row]:
        """The sample in its random order."""
        return sorted(self._heap)


def _part(rows: Sequence[_Row]) -> Part:
    return Part([row.text for row in rows], [row.label for row in rows])


def _require_categories(rows: Sequence[_Row], column: str, name: str) -> None:
    kinds = len({row.label for row in rows})
    if kinds > len(rows) // 2:
        raise TableError(
            f"{name}: column {column!r} has {kinds:,} different labels for {len(rows):,} texts: give a column of "
            "categories, or leave label_column out"
        )
