"""The texts of a corpus: any number of files, read in chunks of rows with all their columns, in constant memory."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from pathlib import Path

import pyarrow as pa

from lastword.arguments import require_list, require_name
from lastword.bundled import PATHS
from lastword.console import warn_once
from lastword.errors import MissingFileError, NoRowsError, RequestError, TableError, WorkError, listed
from lastword.files.formats import STORED, count_rows, find_column
from lastword.files.run_folder import fingerprint
from lastword.files.sources import (
    Source,
    TableFile,
    filesystem_of,
    remote_errors,
    require_bucket,
    table_file,
)
from lastword.files.tables import unusable_reason, usable_label, usable_text
from lastword.files.typed import Cells, join_tables, read_tables

CHUNK_ROWS = 16_384
"""Rows of a chunk, which becomes a shard of the store."""
CHUNK_BYTES = 64 << 20
"""A chunk of more bytes has fewer rows: it ends with the row that exceeds this."""
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Rejected:
    """A row that has no vector.

    Attributes:
        file: where it is.
        row: its number in the file, from 0.
        reason: why, in a few words.
    """

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class Rows:
    """A chunk: consecutive rows of the corpus.

    Attributes:
        number: of the chunk, from 0.
        table: all columns of the n rows whose text is usable.
        texts: n texts.
        places: file and row in it, from 0, of each of the n rows.
        rejected: the other rows.
    """

    number: int
    table: pa.Table
    texts: list[str]
    places: list[tuple[str, int]]
    rejected: list[Rejected]

    @property
    def read(self) -> int:
        """Rows of the corpus that the chunk covers."""
        return len(self.texts) + len(self.rejected)

    def without(self, reasons: dict[int, str]) -> Rows:
        """The chunk without some of its n rows, which are rejected for the reasons."""
        if not reasons:
            return self
        kept = [row for row in range(len(self.texts)) if row not in reasons]
        rejected = [Rejected(*self.places[row], reason) for row, reason in reasons.items()]
        texts, places = [self.texts[row] for row in kept], [self.places[row] for row in kept]
        return Rows(
            self.number,
            self.table.take(pa.array(kept, pa.int64())),
            texts,
            places,
            [*self.rejected, *rejected],
        )


@dataclass(frozen=True)
class Corpus:
    """Files whose rows have a text each.

    Attributes:
        files: in the order of the rows.
        columns: the column of the texts in each.
        chunk_rows, chunk_bytes: limits of a chunk.
    """

    files: tuple[TableFile, ...]
    columns: tuple[str, ...]
    chunk_rows: int = field(default_factory=lambda: CHUNK_ROWS)
    chunk_bytes: int = field(default_factory=lambda: CHUNK_BYTES)

    @classmethod
    def find(cls, inputs: Source | Sequence[Source], text_column: str, new_column: str = "") -> Corpus:
        """Find the files; only their first rows are read.

        Args:
            inputs: files, patterns such as `data/*.parquet`, "-", `hub:OWNER/NAME[@SPLIT]`, addresses such as
                `s3://…` and `hf://datasets/OWNER/NAME`, or the bundled "topics" or "products".
            text_column: column of the texts.
            new_column: a column that no file may have, since it is added.

        Raises:
            MissingFileError, TableError: a file is missing, unreadable, without the first column or with the second.
        """
        require_name("text_column", text_column)
        if not isinstance(inputs, str | Path | TableFile):
            require_list("inputs", inputs)
        several = [inputs] if isinstance(inputs, str | Path | TableFile) else list(inputs)
        files = [file for each in several for file in _expanded(table_file(each))]
        if not files:
            raise RequestError("no input: give at least one file")
        known: dict[str, TableFile] = {}
        for file in files:
            same = known.setdefault(_place(file), file)
            if same is not file:
                also = "" if str(same) == str(file) else f", also as {same}"
                raise RequestError(
                    f"{file} is given twice{also}: its rows would be embedded twice; give it once"
                )
        filled: dict[TableFile, str] = {}
        for file in files:
            try:
                column = find_column(file, text_column)
                require_new(next(read_tables(file, column))[0], new_column, file)
            except NoRowsError:  # programs that write a table in parts leave empty ones
                if len(files) == 1:
                    raise
                warn_once(f"{file} has no rows and is left out")
            else:
                filled[file] = column
        if not filled:
            raise NoRowsError(
                f"{files[0]} and {len(files) - 1} more have no rows: give a file with at least one row"
            )
        return cls(tuple(filled), tuple(filled.values()))

    @property
    def text_column(self) -> str:
        """The column of the texts in the table of each chunk."""
        return self.columns[0]

    @property
    def reading(self) -> list[list[str | None]]:
        """The files, and how they are read."""
        return [[str(file.path), file.encoding, file.delimiter] for file in self.files]

    def require_readable(self) -> None:
        """Read text files to their end, so that bytes that are no text do not stop the work halfway.

        Raises:
            TableError: names file and line.
        """
        for file in self.files:
            if not file.hub and file.format not in (*STORED, ".xlsx"):
                with file.open_text() as text:
                    while text.read(1 << 20):
                        pass

    def require_texts(self) -> None:
        """Read to the first usable text.

        Raises:
            TableError: there is none.
        """
        reasons: Counter[str] = Counter()
        for rows in self.chunks():
            if rows.texts:
                return
            reasons.update(rejected.reason for rejected in rows.rejected)
        raise no_text(self.text_column, reasons)

    def labelled(self, label_column: str | None) -> LabelledTexts:
        """Yield the usable texts of each chunk, with the cells of their labels."""
        for rows in self.chunks():
            yield rows.texts, rows.table[label_column].to_pylist() if label_column else []

    def fingerprints(self) -> dict[str, str]:
        """File → a hash of its content; of a remote one, of what its store says about it."""
        return {
            str(file): _remote_state(file) if file.remote else fingerprint(_local(file))
            for file in self.files
        }

    def count(self) -> int:
        """Rows of all files, for progress; 0 where it is unknown."""
        counts = list(map(count_rows, self.files))
        return sum(counts) if all(counts) else 0

    def count_read(self) -> int:
        """Rows of all files, which are read where their number is unknown."""
        return self.count() or sum(rows.read for rows in self.chunks())

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows; where a chunk ends depends on the rows alone.

        Raises:
            TableError: a file became unreadable.
            WorkError: a file was changed meanwhile.
        """
        held: list[_Block] = []
        number = rows = size = 0
        for block in chain.from_iterable(block.pieces(self.chunk_bytes) for block in self._blocks()):
            rest: _Block | None = block
            while rest is not None:
                part, rest = rest.cut(self.chunk_rows - rows)
                held.append(part)
                rows, size = rows + len(part.cells), size + part.table.nbytes
                if rows == self.chunk_rows or size > self.chunk_bytes:
                    yield _chunk(number, held, self.text_column)
                    held, number, rows, size = [], number + 1, 0, 0
        if held:
            yield _chunk(number, held, self.text_column)

    def _blocks(self) -> Iterator[_Block]:
        names: list[str] = []
        for file, column in zip(self.files, self.columns, strict=True):
            before, row = _state(file), 0
            for table, cells in read_tables(file, column):
                if column != self.text_column:
                    table = _renamed(table, column, self.text_column, file)
                if not row:
                    names = names or table.column_names
                    _compare_columns(names, table.column_names, file, self.files[0])
                yield _Block(str(file), row, table, cells)
                row += len(cells)
                if _state(file) != before:
                    raise WorkError(
                        f"{file} was changed while it was read: start again with resume=True when nothing writes it"
                    )


@dataclass(frozen=True)
class _Block:
    """Consecutive rows of one file, from row `start`."""

    file: str
    start: int
    table: pa.Table
    cells: Cells

    def pieces(self, most_bytes: int) -> Iterator[_Block]:
        """The block, or its halves where it is larger, and so on."""
        if self.table.nbytes <= most_bytes or len(self.cells) == 1:
            yield self
        else:
            for half in self.cut(len(self.cells) // 2):
                yield from half.pieces(most_bytes) if half else ()

    def cut(self, rows: int) -> tuple[_Block, _Block | None]:
        """The first rows, and the others."""
        if len(self.cells) <= rows:
            return self, None
        first = replace(self, table=self.table.slice(0, rows), cells=self.cells[:rows])
        return first, replace(
            self, start=self.start + rows, table=self.table.slice(rows), cells=self.cells[rows:]
        )


@dataclass(frozen=True)
class Content:
    """What some rows have.

    Attributes:
        texts: distinct texts.
        labelled: distinct texts with a label.
        labels: distinct labels.
    """

    texts: int
    labelled: int
    labels: int


LabelledTexts = Iterable[tuple[Sequence[str], Sequence[object]]]
"""Usable texts, and the cell of the label of each; no cells where there are no labels."""


def read_until(
    rows: LabelledTexts, same: Callable[[str], str], texts: int, labelled: int = 0, labels: int = 0
) -> Content:
    """Read until there is as much as is asked for, usually the first rows; what is missing is known without a model.

    Args:
        rows: to read.
        same: gives equal strings for texts that count as one.
        texts: distinct texts.
        labelled: distinct texts with a label.
        labels: distinct labels.
    """
    seen, with_label, kinds = set[str](), set[str](), set[str]()
    for some, cells in rows:
        for text, cell in zip_longest(map(same, some), cells):
            seen.add(text)
            if (label := usable_label(cell)) is not None:
                with_label.add(text)
                kinds.add(label)
            if len(seen) >= texts and len(with_label) >= labelled and len(kinds) >= labels:
                return Content(len(seen), len(with_label), len(kinds))
    return Content(len(seen), len(with_label), len(kinds))


def no_text(column: str, reasons: Counter[str]) -> TableError:
    """The error for a corpus without a usable text.

    Args:
        column: of the texts.
        reasons: reason → rows.
    """
    counted = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common())
    return TableError(f"no row of the input has a usable text in {column!r}: {counted}")


def require_new(
    table: pa.Table,
    column: str,
    source: object,
    advice: str = "name that of the vectors otherwise, vector_column=…",
) -> None:
    """Refuse a table that has a column already.

    Raises:
        TableError: see the message.
    """
    if column in table.column_names:
        raise TableError(f"{source} has a column {column!r}: {advice}")


def _chunk(number: int, blocks: Sequence[_Block], text_column: str) -> Rows:
    tables, texts, places, rejected = [], [], [], []
    for block in blocks:
        kept = []
        for row, cell in enumerate(block.cells):
            if (text := usable_text(cell)) is None:
                rejected.append(Rejected(block.file, block.start + row, _reason(cell)))
            else:
                kept.append(row)
                texts.append(text)
                places.append((block.file, block.start + row))
        table = block.table if len(kept) == len(block.cells) else block.table.take(pa.array(kept, pa.int64()))
        if pa.types.is_dictionary(table.schema.field(text_column).type):
            position = table.schema.get_field_index(text_column)
            table = table.set_column(position, text_column, table[text_column].cast(pa.string()))
        tables.append(table)
    return Rows(number, join_tables(tables), texts, places, rejected)


def _reason(cell: object) -> str:
    if isinstance(cell, UnicodeDecodeError):
        return f"not UTF-8 at byte {cell.start}"
    return unusable_reason(cell, "text")


def _expanded(file: TableFile) -> list[TableFile]:
    """The files that an input stands for."""
    path = str(file.path)
    if path in PATHS:
        return [replace(file, path=PATHS[path])]
    if file.hub or not _PATTERN.search(path) or Path(path).exists():
        return [file]
    if file.remote:
        with remote_errors(path):
            filesystem, pattern = filesystem_of(path)
            found = [filesystem.unstrip_protocol(each) for each in filesystem.glob(pattern)]
        if not found:
            require_bucket(path)
    else:
        root = Path(path).anchor
        matching = Path(root or ".").glob(str(Path(path).relative_to(root)))
        found = [str(each) for each in matching if each.is_file()]
    if not found:
        raise MissingFileError(f"no file matches {path}: give a pattern of files that exist")
    return [replace(file, path=each) for each in sorted(found)]


def _compare_columns(first: Sequence[str], names: Sequence[str], file: TableFile, other: TableFile) -> None:
    if differing := sorted(set(first) ^ set(names)):
        warn_once(
            f"{file} and {other} do not have the same columns ({listed(differing)}): missing cells are null"
        )


def _renamed(table: pa.Table, column: str, name: str, file: TableFile) -> pa.Table:
    if name in table.column_names:
        raise TableError(f"{file}: its texts are in {column!r}, and it has {name!r} too: rename one of them")
    return table.rename_columns([name if each == column else each for each in table.column_names])


def _place(file: TableFile) -> str:
    """Equal for two names of one file, such as a link to it."""
    return str(file) if file.hub or file.remote else os.path.realpath(file.path)


def _local(file: TableFile) -> str | os.PathLike[str]:
    return str(file.path) if file.hub else file


def _state(file: TableFile) -> object:
    """What changes when a local file does; a remote one keeps its content while it is open, or fails."""
    path = Path(_local(file)) if not file.remote else None
    if path is None or not path.is_file():
        return None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _remote_state(file: TableFile) -> str:
    with remote_errors(file):
        filesystem, path = filesystem_of(file.path)
        return str(filesystem.ukey(path))
