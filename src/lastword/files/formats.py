"""One reader for each file format: blocks of rows as Python values, in constant memory.

Which values a column may have is decided in `lastword.files.tables`.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet

from lastword.errors import MissingFileError, TableError

Row = dict[str, object]
Block = dict[str, list[object]]
"""Column → cells of consecutive rows."""
BLOCK_ROWS = 1024
HUB = "hub:"  # prefix of a data set on the Hugging Face Hub
_READ_CHARACTERS = 1 << 20
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is shorter than a long document
_SPACE = re.compile(r"\s*")


Select = Callable[[Sequence[str]], list[str]]
"""Header → the columns to read; refuses a missing or repeated one."""


class _MalformedError(Exception):
    """Content that its format does not allow."""


def read_blocks(
    source: str | Path, names: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> Iterator[Block]:
    """Yield the named columns, at most `BLOCK_ROWS` rows at a time.

    A JSON object without one of the keys has a null there; some object of the first block must have the key.

    Args:
        source: Parquet, CSV, TSV, JSON lines, JSON objects one after another, or text with one text a line
            (column `text`); or `hub:OWNER/NAME[@SPLIT]`, a data set on the Hub or in a folder.
        names: columns that the file must have; None yields all.
        optional: columns to yield if they exist; a block of JSON objects has those that its objects have.

    Raises:
        MissingFileError: the file does not exist.
        TableError: a missing or repeated column, no rows, or unreadable content.
    """
    read = _read_hub if str(source).startswith(HUB) else _read_file
    empty = True
    for block in read(str(source), names, optional):
        empty = False
        yield block
    if empty:
        raise TableError(f"{source} has columns but no rows: it needs at least one row")


def count_rows(source: str | Path) -> int:
    """Rows of a file, for progress: exact for Parquet, lines of other formats, 0 where it is unknown."""
    path = Path(source)
    if not path.is_file():
        return 0
    if path.suffix.lower() == ".parquet":
        try:
            rows: int = pa.parquet.read_metadata(path).num_rows
        except pa.ArrowException:
            return 0  # the reader reports it
        return rows
    lines, last = 0, b""
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            lines, last = lines + part.count(b"\n"), part
    return lines + (not last.endswith(b"\n")) - (path.suffix.lower() in (".csv", ".tsv"))


def _read_file(source: str, names: Sequence[str] | None, optional: Sequence[str]) -> Iterator[Block]:
    path = Path(source)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a {', '.join(SUFFIXES)} file that exists")
    if suffix not in SUFFIXES:
        raise TableError(
            f"{path}: cannot read {suffix or 'a file without a suffix'}; use {', '.join(SUFFIXES)}"
        )
    if path.stat().st_size == 0:
        raise TableError(f"{path} is empty: it needs at least one row")
    try:
        if suffix == ".parquet":
            yield from _read_parquet(path, names, optional)
        else:
            newline = "" if suffix in (".csv", ".tsv") else None  # there a cell may have a line break
            with path.open(encoding="utf-8-sig", newline=newline) as file:
                rows = _TEXT_FORMATS[suffix](file, lambda header: _select(source, header, names, optional))
                yield from _blocks(source, rows, names, optional)
    except (pa.ArrowException, UnicodeDecodeError, _MalformedError, OSError) as error:
        raise TableError(f"{path} is not a readable {suffix} file: {str(error).splitlines()[0]}") from error


def _read_parquet(path: Path, names: Sequence[str] | None, optional: Sequence[str]) -> Iterator[Block]:
    file = pa.parquet.ParquetFile(path)
    columns = _select(str(path), file.schema_arrow.names, names, optional)
    for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=columns):
        block: Block = batch.to_pydict()
        yield block


def _read_hub(source: str, names: Sequence[str] | None, optional: Sequence[str]) -> Iterator[Block]:
    import datasets

    name, _, split = source.removeprefix(HUB).partition("@")
    try:
        rows = datasets.load_dataset(name, split=split or "train", streaming=True)
        yield from _blocks(source, rows, names, optional)
    except (OSError, ValueError) as error:  # unknown, unreachable, or not a data set
        if isinstance(error, TableError):
            raise
        raise TableError(f"{source} cannot be read: {str(error).splitlines()[0]}") from error


def _blocks(
    source: str, rows: Iterable[Row], names: Sequence[str] | None, optional: Sequence[str]
) -> Iterator[Block]:
    rows, required = iter(rows), names
    while part := list(itertools.islice(rows, BLOCK_ROWS)):
        header = list(dict.fromkeys(name for row in part for name in row))
        if names is not None and required is None:  # a later block, which may lack a column
            header += [name for name in names if name not in header]
        columns = _select(source, header, names, optional)
        yield {name: [row.get(name) for row in part] for name in columns}
        required = None


def _select(
    source: str, header: Sequence[str], names: Sequence[str] | None, optional: Sequence[str]
) -> list[str]:
    """The columns to read, each once and in this order."""
    columns = header if names is None else [*names, *(name for name in optional if name in header)]
    for name in columns:
        if name not in header:
            raise TableError(f"{source} has no column {name!r}; its columns are: {', '.join(header)}")
        if header.count(name) > 1:
            raise TableError(f"{source} has several columns {name!r}: rename all but one")
    return list(dict.fromkeys(columns))


def _csv_rows(file: IO[str], select: Select, delimiter: str) -> Iterator[Row]:
    """Every cell is text: a label "007" does not become the number 7."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not cells:  # an empty line
                continue
            if not header:
                select(header := cells)
            elif len(cells) == len(header):
                yield dict(zip(header, cells, strict=True))
            else:
                raise _MalformedError(
                    f"line {reader.line_num} ends a row of {len(cells)} cells, the header has {len(header)}"
                )
    except csv.Error as error:
        raise _MalformedError(f"line {reader.line_num}: {error}") from error


def _json_lines(file: IO[str], select: Select) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield _object(json.loads(line), f"line {number}")
            except json.JSONDecodeError as error:
                raise _MalformedError(f"line {number}: {error.msg}") from error


def _json_objects(file: IO[str], select: Select) -> Iterator[Row]:
    """Objects one after another, on one or on several lines each."""
    decoder, text, count, at_end = json.JSONDecoder(), "", 0, False
    while not at_end:
        part = file.read(_READ_CHARACTERS)
        text, at_end, position = text + part, not part, 0
        while (start := _SPACE.match(text, position).end()) < len(text):  # type: ignore[union-attr]
            try:
                value, position = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                if at_end:
                    raise _MalformedError(f"object {count + 1}: {error.msg}") from error
                break  # it may continue in the next part
            count += 1
            yield _object(value, f"value {count}")
        text = text[start:]


def _object(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise _MalformedError(f'{where} is not an object, such as {{"text": "a red apple"}}')
    return value


def _lines(file: IO[str], select: Select) -> Iterator[Row]:
    # Not splitlines(): it would also end a line at form feeds and other characters inside a text.
    return ({"text": line.removesuffix("\n")} for line in file)


_TEXT_FORMATS: dict[str, Callable[[IO[str], Select], Iterator[Row]]] = {
    ".csv": partial(_csv_rows, delimiter=","),
    ".tsv": partial(_csv_rows, delimiter="\t"),
    ".jsonl": _json_lines,
    ".json": _json_objects,
    ".txt": _lines,
}
SUFFIXES = (".parquet", *_TEXT_FORMATS)
