"""Read columns of a file chunk by chunk, so that a million rows take no more memory than a thousand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lastword.errors import TableError
from lastword.files.tables import by_ending, columns_of, read_table

Row = dict[str, Any]
_BLOCK_BYTES = 64 << 20
HUB = "hub:"  # what a data set's name begins with, to tell it from a file


@dataclass(frozen=True)
class Chunk:
    """Neighbouring rows of a file.

    Attributes:
        start: number of the first row, from 0.
        columns: name → one text for each row; "" where the cell holds none.
    """

    start: int
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def chunks(path: Path, names: Sequence[str], size: int) -> Iterator[Chunk]:
    """Yield the named columns, `size` rows at a time.

    Args:
        path: Parquet, CSV, TSV, JSON lines or text, one text a line; or `hub:owner/name`, a data set.
        names: the columns.
        size: rows of a chunk.

    Raises:
        MissingFileError, TableError: no file, no such column, or a file that cannot be read (on).
    """
    rows = _rows(path, names)
    for start in itertools.count(0, size):
        part = list(itertools.islice(rows, size))
        if not part:
            if start == 0:
                raise TableError(f"{path} has no rows: it needs at least one")
            return
        columns = {name: [_text(row.get(name)) for row in part] for name in names}
        yield Chunk(start, columns)


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(int(cell))
    return str(cell) if isinstance(cell, int | float) else ""


def _rows(path: Path, names: Sequence[str]) -> Iterator[Row]:
    if str(path).startswith(HUB):
        yield from _data_set(str(path), names)
        return
    stream = by_ending(path, STREAMS)
    try:
        yield from stream(path, names)
    except (pa.ArrowException, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TableError(
            f"{path} is not a readable {path.suffix} file: {str(error).splitlines()[0]}"
        ) from error


def _parquet(path: Path, names: Sequence[str]) -> Iterator[Row]:
    file = pa.parquet.ParquetFile(path)
    columns_of(file.schema_arrow.empty_table(), path, names)
    for batch in file.iter_batches(batch_size=1024, columns=list(dict.fromkeys(names))):
        yield from _decoded(batch)


def _decoded(batch: Any) -> Iterable[Row]:
    rows: list[Row] = batch.to_pylist()
    return rows


def _csv(path: Path, names: Sequence[str], delimiter: str = ",") -> Iterator[Row]:
    reading = pa.csv.ReadOptions(block_size=_BLOCK_BYTES)
    parsing = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    header = pa.csv.open_csv(path, read_options=reading, parse_options=parsing).schema
    columns_of(header.empty_table(), path, names)
    converting = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(header.names, pa.string()), strings_can_be_null=False
    )
    for batch in pa.csv.open_csv(
        path, read_options=reading, parse_options=parsing, convert_options=converting
    ):
        yield from _decoded(batch)


def _json_lines(path: Path, names: Sequence[str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file):
            if line.strip():
                row = json.loads(line)
                missing = [name for name in names if name not in row]
                if missing and number == 0:
                    raise TableError(
                        f"{path} has no column {missing[0]!r}; its columns are: {', '.join(row)}"
                    )
                yield row


def _lines(path: Path, names: Sequence[str]) -> Iterator[Row]:
    if set(names) != {"text"}:
        raise TableError(f"{path} is plain text, with one column: 'text'")
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            yield {"text": line.removesuffix("\n")}


def _data_set(place: str, names: Sequence[str]) -> Iterator[Row]:
    """Rows of a data set on the Hub, or in a folder, as they arrive: `hub:owner/name`, `hub:owner/name@validation`."""
    import datasets

    name, _, split = place.removeprefix(HUB).partition("@")
    try:
        rows = datasets.load_dataset(name, split=split or "train", streaming=True)
        for number, row in enumerate(rows):
            if number == 0 and (missing := [column for column in names if column not in row]):
                raise TableError(f"{place} has no column {missing[0]!r}; its columns are: {', '.join(row)}")
            yield row
    except (OSError, ValueError) as error:  # what is not there, what cannot be reached, what is no data set
        if isinstance(error, TableError):
            raise
        raise TableError(f"{place} cannot be read: {str(error).splitlines()[0]}") from error


def _whole(path: Path, names: Sequence[str]) -> Iterator[Row]:
    """JSON that may run over several lines is read at once."""
    yield from _decoded(columns_of(read_table(path), path, names))


STREAMS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": lambda path, names: _csv(path, names, "\t"),
    ".jsonl": _json_lines,
    ".json": _whole,
    ".txt": _lines,
}
