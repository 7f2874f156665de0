"""One reader for each file format: blocks of rows as Python values, in constant memory.

Only the columns that are asked for are read. Which values a column may have is decided in `lastword.files.tables`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from lastword.console import info_once
from lastword.errors import LastwordError, NoRowsError, TableError, first_line, listed
from lastword.extras import needed
from lastword.files.delimited import DEFAULTS, MalformedError, delimited
from lastword.files.json_values import Row, json_lines, json_objects
from lastword.files.network import require_reachable
from lastword.files.sources import FORMATS, STANDARD_INPUT, Source, TableFile, announce, table_file

Block = dict[str, list[object]]
"""Column → cells of consecutive rows."""
BLOCK_ROWS = 1024
TEXT = "text"
"""The column of texts by default: the only column of text stands for it where it is missing."""
NEGATIVE = "negative"
"""The column of hard negatives by default; a file need not have it."""
_NOT_PROSE = re.compile(
    r"\s*([-+]?[\d.,]+(e[-+]?\d+)?%?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T][\d:.]+Z?)?|true|false)\s*",
    re.IGNORECASE,
)  # numbers, dates and truth values

STORED = (".parquet", ".arrow", ".feather")
"""Formats whose files have a schema."""
_ARROW_FILE = b"ARROW1"
StoredBatches = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
Part = tuple[Sequence[str], Callable[[str], list[object]]]
"""The columns that some consecutive rows have, and the cells of a column."""


@dataclass(frozen=True)
class Columns:
    """Which columns to read.

    Attributes:
        required: columns that the file must have.
        optional: columns to read if they exist.
        numbered: a column that may also be several, NAME_1, NAME_2 and so on; all that exist are read. Only
            `NEGATIVE` may be missing.
        all: read all other columns too.
    """

    required: Sequence[str] = ()
    optional: Sequence[str] = ()
    numbered: str = ""
    all: bool = False

    @cached_property
    def _number(self) -> re.Pattern[str]:
        return re.compile(rf"{re.escape(self.numbered)}(_\d+)?")

    def choose(self, source: Source, part: Part) -> dict[str, str]:
        """Names of the columns to read → columns of the file.

        Raises:
            TableError: a missing or repeated column.
        """
        header, cells = part
        chosen = (self.further(header) if self.all else {}) | {name: name for name in self.required}
        chosen |= self.further(header)
        if TEXT in chosen and TEXT not in header:
            others = [name for name in header if name not in chosen]
            texts = [name for name in others if any(map(_is_prose, cells(name)))]
            if len(texts) == 1:
                info_once(f"{source} has no column {TEXT!r}: its only column of text is taken, {texts[0]!r}")
                chosen[TEXT] = texts[0]
        if self.numbered not in ("", NEGATIVE) and not any(map(self._number.fullmatch, header)):
            chosen[self.numbered] = self.numbered
        for column in chosen.values():
            if column not in header:
                raise TableError(f"{source} has no column {column!r}; its columns are: {listed(header)}")
            if list(header).count(column) > 1:
                raise TableError(f"{source} has several columns {column!r}: rename all but one")
        return chosen

    def further(self, header: Sequence[str]) -> dict[str, str]:
        """The columns to read that a file need not have."""
        return {
            name: name
            for name in header
            if self.all or name in self.optional or (self.numbered and self._number.fullmatch(name))
        }


def read_blocks(source: Source, columns: Columns) -> Iterator[Block]:
    """Yield the columns, at most `BLOCK_ROWS` rows at a time.

    A JSON object without one of the keys has a null there; some object of the first block must have the key.

    Args:
        source: Parquet, Arrow (Feather 2), CSV, TSV, JSON lines, a JSON array, Excel, or text with one text a line
            (column `text`), the text formats also compressed (.gz, .zst); "-" for standard input; or
            `hub:OWNER/NAME[@SPLIT]`, a data set on the Hub or in a folder.
        columns: which.

    Raises:
        MissingFileError: the file does not exist.
        TableError: a missing or repeated column, no rows, or unreadable content; the message names the line.
    """
    file = table_file(source)
    if stored := hub_files(file):
        for path in stored:
            yield from read_blocks(path, columns)
        return
    chosen: dict[str, str] = {}
    empty = True
    for part in _parts(file, columns):
        chosen = chosen | columns.further(part[0]) if chosen else columns.choose(file, part)
        block = {name: part[1](column) for name, column in chosen.items()}
        if any(block.values()):
            empty = False
            yield block
    if empty:
        raise NoRowsError(f"{file} has columns but no rows: it needs at least one row")


def find_column(source: Source, name: str) -> str:
    """The column that is read by a name: itself, or the only column of text where `TEXT` is missing.

    Raises:
        MissingFileError, TableError: as for `read_blocks`.
    """
    file, columns = table_file(source), Columns([name])
    for stored in hub_files(file)[:1]:
        return find_column(stored, name)
    if file.format in STORED:
        file.require()
        with readable(file):
            return columns.choose(file, _stored_header(file))[name]
    for part in _parts(file, columns):
        return columns.choose(file, part)[name]
    raise NoRowsError(f"{file} has no rows: it needs at least one row")


def count_rows(source: Source) -> int:
    """Rows of a file: those that it says it has (Parquet, Arrow, Excel), objects of JSON, lines of other formats.

    0 where it is not known without reading over the network, and where the reader will report why it cannot read.
    """
    file = table_file(source)
    if file.hub or not (file.format in STORED or Path(file).is_file()):
        return 0
    try:
        with readable(file):
            if file.format in STORED:
                return stored_table(file)[2]
            if file.format == ".xlsx":
                with _first_sheet(file) as sheet:
                    return max(0, (sheet.max_row or 0) - 1)
            if file.format == ".json":
                with file.open_text() as text:
                    return sum(1 for _ in json_objects(text))
            return _count_lines(file) - (file.format in DEFAULTS)
    except LastwordError:
        return 0


def _count_lines(file: TableFile) -> int:
    lines, last = 0, b"\n"
    with file.open_binary() as opened:
        for part in iter(lambda: opened.read(1 << 20), b""):
            lines, last = lines + part.count(b"\n"), part
    return lines + (not last.endswith(b"\n"))


def _parts(file: TableFile, columns: Columns) -> Iterator[Part]:
    if file.hub:
        yield from _hub_parts(file)
        return
    file.require()
    suffix = file.format
    with readable(file):
        if suffix in STORED:
            yield from _stored_parts(file, columns)
        elif suffix == ".xlsx":
            yield from _table_parts(_sheet_rows(file))
        elif suffix in DEFAULTS:
            yield from _csv_parts(file, suffix, columns.required)
        else:
            announce(file)
            with file.open_text() as text:
                yield from _object_parts(_TEXT_FORMATS[suffix](text))


@contextmanager
def readable(file: TableFile) -> Iterator[None]:
    """Name the file in an error about its content.

    Raises:
        TableError: see the message.
    """
    try:
        yield
    except (pa.ArrowException, MalformedError, OSError, UnicodeDecodeError) as error:
        raise TableError(f"{file} is not a readable {file.format} file: {first_line(error)}") from error


def stored_table(file: TableFile) -> tuple[pa.Schema, StoredBatches, int]:
    """The schema of a Parquet or Arrow file, its batches of at most `BLOCK_ROWS` rows of some columns, and its rows.

    Raises:
        MalformedError, pyarrow.ArrowException: the content is of another kind, or damaged.
    """
    if file.compression:
        name = "Parquet" if file.format == ".parquet" else "Arrow"
        raise MalformedError(f"{name} files are compressed inside: unpack it first")
    source = file.stored()
    if file.format == ".parquet":
        parquet = pa.parquet.ParquetFile(source)
        rows = parquet.metadata.num_rows
        return parquet.schema_arrow, lambda names: parquet.iter_batches(BLOCK_ROWS, columns=names), rows

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in _arrow_batches(source)[1]:
            chosen = batch.select(list(names))
            yield from (chosen.slice(row, BLOCK_ROWS) for row in range(0, batch.num_rows, BLOCK_ROWS))

    schema, whole = _arrow_batches(source)
    return schema, batches, sum(batch.num_rows for batch in whole)


def _arrow_batches(source: str | IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A file, or a stream in a file as the library datasets writes them."""
    content = pa.memory_map(source) if isinstance(source, str) else source
    content.seek(0)
    is_file = content.read(len(_ARROW_FILE)) == _ARROW_FILE
    content.seek(0)
    if not is_file:
        stream = pa.ipc.open_stream(content)
        return stream.schema, iter(stream)
    file = pa.ipc.open_file(content)
    return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def _stored_parts(file: TableFile, columns: Columns) -> Iterator[Part]:
    names, first = header = _stored_header(file)
    chosen = list(dict.fromkeys(columns.choose(file, header).values()))
    for batch in stored_table(file)[1](chosen):
        block: Block = batch.to_pydict()
        yield names, lambda name, block=block: block[name] if name in block else first(name)  # type: ignore[misc]


def _stored_header(file: TableFile) -> Part:
    """The columns, and the first cells of those that hold strings."""
    schema, batches, _ = stored_table(file)
    strings = [field.name for field in schema if _holds_strings(field.type)]

    def first(name: str) -> list[object]:
        batch = next(batches([name]), None) if name in strings else None
        return batch.column(0).to_pylist() if batch else []

    return schema.names, first


def _csv_parts(file: TableFile, suffix: str, asked: Sequence[str]) -> Iterator[Part]:
    table = delimited(file, DEFAULTS[suffix], asked)
    if str(file.path) == STANDARD_INPUT and len(table.header) < 2 and not set(asked) & set(table.header):
        with file.open_text() as text:
            yield from _object_parts(_lines(text))
    else:
        yield from _table_parts(table.rows())


def _table_parts(rows: Iterator[Sequence[object]]) -> Iterator[Part]:
    header = [str(cell) for cell in next(rows, [])]
    at = {name: number for number, name in enumerate(header)}
    part = list(islice(rows, BLOCK_ROWS))
    while True:
        yield header, partial(_of_lists, part, at)
        if not (part := list(islice(rows, BLOCK_ROWS))):
            return


def _object_parts(rows: Iterable[Row]) -> Iterator[Part]:
    rows = iter(rows)
    while part := list(islice(rows, BLOCK_ROWS)):
        header = list(dict.fromkeys(chain.from_iterable(part)))
        yield header, partial(_of_objects, part)


@contextmanager
def _first_sheet(file: TableFile) -> Iterator[Any]:
    """The first sheet of a workbook."""
    openpyxl = needed("openpyxl", "excel", "reading .xlsx files")
    try:
        with warnings.catch_warnings(action="ignore"):  # about styles
            book = openpyxl.load_workbook(file.stored(), read_only=True, data_only=True)
        with closing(book):
            if len(book.sheetnames) > 1:
                info_once(
                    f"{file}: the first of {len(book.sheetnames)} sheets is read, {book.sheetnames[0]!r}"
                )
            yield book.worksheets[0]
    except Exception as error:  # of many kinds, for archives that are no or damaged workbooks
        raise MalformedError(f"it is no workbook of Excel, or damaged ({error})") from error


def _sheet_rows(file: TableFile) -> Iterator[Sequence[object]]:
    """The rows of the first sheet; every cell that is not empty is text, as in a CSV file."""
    with _first_sheet(file) as sheet:
        rows = sheet.iter_rows(values_only=True)
        header: tuple[object, ...] = next(rows, ())
        width = max((number for number, cell in enumerate(header, 1) if cell is not None), default=0)
        yield ["" if cell is None else plain(cell) for cell in header[:width]]
        for row in rows:
            cells = [None if cell is None else plain(cell) for cell in row[:width]]
            if any(cell is not None for cell in cells):
                yield cells + [None] * (width - len(cells))


def plain(cell: object) -> str:
    """A number, date or truth value as the text that it has in JSON or ISO 8601."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell)


def hub_files(file: TableFile) -> list[TableFile]:
    """The files of a data set in a folder: the library would guess types, and turn texts into dates."""
    name, _, split = file.hub.partition("@")
    if not name or not Path(name).is_dir():
        return []
    import datasets

    try:
        found = datasets.load_dataset_builder(name).config.data_files or {}
    except (OSError, ValueError):
        return []  # the library says why
    files = [replace(file, path=path) for path in found.get(split or "train", ())]
    return files if all(each.format in FORMATS for each in files) else []


def _hub_parts(file: TableFile) -> Iterator[Part]:
    import datasets

    name, _, split = file.hub.partition("@")
    if not Path(name).is_dir():
        _require_hub(file)
    try:
        yield from _object_parts(datasets.load_dataset(name, split=split or "train", streaming=True))
    except (OSError, ValueError) as error:  # unknown, unreachable, or not a data set
        raise TableError(f"{file} cannot be read: {first_line(error)}") from error


def _require_hub(file: TableFile) -> None:
    """Refuse a data set on the Hub where there is no connection, without retries.

    Raises:
        TableError: see the message.
    """
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:  # else the library does not ask
        require_reachable(file, constants.ENDPOINT)


def _lines(file: Iterable[str]) -> Iterator[Row]:
    # Not splitlines(): it would also end a line at form feeds and other characters inside a text.
    return ({TEXT: line.removesuffix("\n")} for line in file)


def _of_lists(rows: Sequence[Sequence[object]], at: Mapping[str, int], name: str) -> list[object]:
    number = at[name]
    return [row[number] for row in rows]


def _of_objects(rows: Sequence[Row], name: str) -> list[object]:
    return [row.get(name) for row in rows]


def _is_prose(cell: object) -> bool:
    return isinstance(cell, str) and bool(cell.strip()) and not _NOT_PROSE.fullmatch(cell)


def _holds_strings(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


_TEXT_FORMATS = {".jsonl": json_lines, ".json": json_objects, ".txt": _lines}
