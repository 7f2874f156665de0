"""One pair, a method of making pairs, and files of pairs."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet

from lastword.errors import RequestError
from lastword.files.plain_json import json_text
from lastword.files.sources import TableFile, table_file
from lastword.files.tables import Chunk, Kind

SCHEMA = pa.schema([
    ("anchor", pa.string()), ("positive", pa.string()), ("negative", pa.list_(pa.string())), ("source", pa.string()),
    ("method", pa.string()), ("seed", pa.int64()), ("meta", pa.string()),
])  # fmt: skip
SUFFIXES = (".parquet", ".jsonl", ".csv")


@dataclass(frozen=True)
class Pair:
    """Two texts with the same meaning.

    Attributes:
        anchor, positive: the texts.
        row: number of the row that it was made from.
        negatives: texts near the anchor with another meaning.
        meta: further facts of the method, as JSON values.
    """

    anchor: str
    positive: str
    row: int
    negatives: Sequence[str] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A row that gave no pair, and why."""

    row: int
    reason: str


class Method(Protocol):
    """A method of making pairs.

    The pairs of a row depend on the row, its number and the seed, and not on which rows are in its chunk: then a
    resumed run ends with the same pairs. A method that compares the rows of a file reads it beforehand, names it in
    an attribute `file`, and makes pairs of no other.
    """

    @property
    def name(self) -> str:
        """Value of the column `method`."""

    @property
    def columns(self) -> Mapping[str, Kind]:
        """The columns that it reads."""

    @property
    def chunk(self) -> int:
        """Rows that it takes at a time, after which a run can be resumed."""

    @property
    def inputs(self) -> Sequence[str]:
        """Files and models that it reads besides the texts; a resumed run must find the same content in them."""

    def settings(self) -> dict[str, Any]:
        """Whatever changes the pairs, as JSON values; a resumed run must have the same."""

    def pairs(self, chunk: Chunk, seed: int) -> Iterable[Pair | Rejected]:
        """Make the pairs of some rows, which have no empty cells but in "blank" columns."""


class OneColumn:
    """What methods have in common that read one column of texts."""

    text_column: str

    @property
    def columns(self) -> dict[str, Kind]:
        """See `Method`."""
        return {self.text_column: "text"}


def row_rng(seed: int, name: str, row: int) -> random.Random:
    """The random generator of a row, the same in every run and on every machine."""
    return random.Random(f"{seed}/{name}/{row}")


def table_of(pairs: Iterable[Pair], file: str, method: str, seed: int) -> pa.Table:
    """Pairs as a table of `SCHEMA`."""
    rows = []
    for pair in pairs:
        meta = json_text(dict(sorted(pair.meta.items())))
        columns = {"source": f"{file}:{pair.row}", "method": method, "seed": seed, "meta": meta}
        rows.append({**vars(pair), "negative": list(pair.negatives), **columns})
    return pa.Table.from_pylist(rows, schema=SCHEMA)  # without the row


def require_own_file(method: Method, source: TableFile) -> None:
    """Refuse a file for a method that has read another one beforehand, see `Method`.

    Raises:
        RequestError: the files, or what is said of their encoding and delimiter, differ.
    """
    own = getattr(method, "file", None)
    if own is not None and _identity(table_file(own)) != _identity(source):
        raise RequestError(
            f"the method {method.name!r} has read {own}, and cannot make pairs of {source}: give both the same file, "
            "encoding and delimiter"
        )


def _identity(file: TableFile) -> tuple[object, ...]:
    return Path(file).resolve(), file.encoding, file.delimiter


def require_suffix(output: Path) -> None:
    """Refuse an output with a suffix that pairs cannot be written as.

    Raises:
        RequestError: it is not in `SUFFIXES`.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise RequestError(
            f"output={str(output)!r}: write {', '.join(SUFFIXES)}, not {output.suffix or 'a file without a suffix'}"
        )


def write_tables(tables: Iterable[pa.Table], schema: pa.Schema, target: Path, suffix: str) -> None:
    """Write tables of one schema as one file, in the format of `suffix`."""
    if suffix == ".parquet":
        with pa.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
        return
    with target.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, schema.names) if suffix == ".csv" else None
        if sheet:
            sheet.writeheader()
        for table in tables:
            for row in table.to_pylist():
                if sheet:
                    sheet.writerow({name: _csv_cell(cell) for name, cell in row.items()})
                else:
                    file.write(json_text(row) + "\n")


def _csv_cell(cell: object) -> object:
    """A list as JSON writes it; an empty one is an empty cell."""
    if isinstance(cell, list):
        return json_text(cell) if cell else ""
    return cell


def single_negatives(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables of `SCHEMA` with a text in place of the list of negatives, or "" where there is none."""
    column = SCHEMA.get_field_index("negative")
    for table in tables:
        texts = [texts[0] if texts else "" for texts in table["negative"].to_pylist()]
        yield table.set_column(column, "negative", pa.array(texts, pa.string()))


def write_table(table: pa.Table, output: Path) -> None:
    """Write a table of any columns atomically, in the format of the output's suffix."""
    partial = output.with_name(output.name + ".partial")
    write_tables([table], table.schema, partial, output.suffix.lower())
    partial.replace(output)
