"""CSV and TSV: the delimiter and the meaning of quotation marks are decided by what fits the rows.

A delimiter fits if it gives every row as many cells as the header. Quotation marks around a cell are syntax where
that fits the rows; else they are read as they are. They do not fit if text follows a closing one, if one is never
closed, or, between tabs, if a cell in quotation marks goes over lines that each have as many tabs as a row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Literal

from lastword.console import info_once, warn_once
from lastword.files.sources import TableFile, announce

DEFAULTS = {".csv": ",", ".tsv": "\t"}
_DELIMITERS = (",", ";", "\t", "|")
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is shorter than a long document
Warn = Callable[[int, int], None]
"""Gets the first and the last line of a row."""


class MalformedError(Exception):
    """Content that its format does not allow."""


class _RowError(MalformedError):
    """A row that does not fit.

    Attributes:
        first, last: its lines, from 1.
    """

    def __init__(self, message: str, first: int, last: int) -> None:
        super().__init__(f"line {first}{message}")
        self.first, self.last = first, last


@dataclass(frozen=True)
class Delimited:
    """A CSV or TSV file with what was decided about it.

    Attributes:
        file: the file.
        delimiter: what is between cells.
        quoted: whether quotation marks are syntax.
        header: the columns, if all of the first rows have as many cells; else empty.
    """

    file: TableFile
    delimiter: str
    quoted: bool
    header: list[str]

    def rows(self) -> Iterator[list[str]]:
        """Yield the header and then the rows, all of one length; every cell is text: "007" stays "007".

        Raises:
            MalformedError: a row that does not fit; the message names its line.
            TableError: the content is not text in one encoding.
        """
        done = 0
        try:
            for cells in self._read(self.quoted, self._warn):
                yield cells
                done += 1
        except _RowError:
            if not self.quoted or not self._no_syntax(done):
                raise
            for number, cells in enumerate(islice(self._read(False), done, None)):
                if not number:
                    _say_literal(self.file)
                yield cells

    def _no_syntax(self, rows: int) -> bool:
        """Whether quotation marks mean nothing in the first rows, so that the rest can be read without them."""
        try:
            both = zip(self._read(True), self._read(False), strict=False)
            return all(one == other for one, other in islice(both, rows))
        except _RowError:
            return False

    def _warn(self, first: int, last: int) -> None:
        """Name a cell that may have swallowed rows: other than tabs, commas and the like are frequent in texts."""
        warn_once(
            f"{self.file}: lines {first} to {last} are one row, since a quotation mark at the beginning of a cell is "
            "closed there; if they are rows, double that mark"
        )

    def _read(self, quoted: bool, warn: Warn | None = None) -> Iterator[list[str]]:
        with self.file.open_text(newline="") as text:  # a cell may have a line break
            yield from _parsed(text, self.delimiter, quoted, warn)


def delimited(file: TableFile, default: str, asked: Sequence[str]) -> Delimited:
    """Decide by the first part of a file how it is read.

    Args:
        file: the file.
        default: the delimiter if several fit.
        asked: columns to find.

    Raises:
        TableError: the content is no text.
    """
    part, whole = file.sample()
    lines = list(io.StringIO(part.decode(file.text_encoding, "ignore"), newline=""))
    lines = lines if whole else lines[:-1]
    others = (delimiter for delimiter in _DELIMITERS if delimiter != default)
    candidates = [file.delimiter] if file.delimiter else [default, *others]
    delimiter, quoted, header = _fitting(lines, candidates, whole, set(asked))
    shown = "one column" if len(header) == 1 else f"delimiter {_name(delimiter)}"
    shown = "" if delimiter in (default, file.delimiter) else shown
    announce(file, shown)
    if not quoted:
        _say_literal(file)
    return Delimited(file, delimiter, quoted, header)


def _fitting(
    lines: Sequence[str], candidates: Sequence[str], whole: bool, wanted: set[str]
) -> tuple[str, bool, list[str]]:
    """Delimiter, whether quotation marks are syntax, and header; one with the wanted columns, or else any that fits."""
    fits = []
    for delimiter, quoted in product(candidates, (True, False)):
        header = _header(lines, delimiter, quoted, whole)
        if len(header) > 1 and wanted <= set(header):
            return delimiter, quoted, header
        if len(header) > 1 or wanted & set(header):
            fits.append((delimiter, quoted, header))
    fits.sort(key=lambda fit: len(fit[2]) == 1)  # stable
    return fits[0] if fits else (candidates[0], True, [])


def _header(lines: Sequence[str], delimiter: str, quoted: bool, whole: bool) -> list[str]:
    """The header if all rows have its length, else nothing.

    Args:
        lines: the first lines of a file.
        delimiter: what is between cells.
        quoted: whether quotation marks are syntax.
        whole: whether these are all lines; else the last row may go on.
    """
    header: list[str] = []
    try:
        for cells in _parsed(lines, delimiter, quoted):
            header = header or cells
    except _RowError as error:
        rest = csv.reader(lines[error.first - 1 :], delimiter=delimiter, quoting=csv.QUOTE_NONE)
        goes_on = not whole and quoted and error.last == len(lines)
        if not goes_on or all(len(cells) == len(header) for cells in rest):
            return []
    return header


def _parsed(
    lines: Iterable[str], delimiter: str, quoted: bool, warn: Warn | None = None
) -> Iterator[list[str]]:
    """Yield the rows, all of the length of the first; empty lines are skipped."""
    csv.field_size_limit(_LONGEST_CELL)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    width, line = 0, 0
    try:
        for cells in reader:
            width = width or len(cells)
            if len(cells) != width and cells:
                raise _RowError(_ragged(len(cells), width, delimiter), line + 1, reader.line_num)
            if reader.line_num > line + 1 and _swallowed(cells, delimiter):
                if delimiter == "\t":
                    raise _RowError(
                        ": a quotation mark here swallows rows; double it", line + 1, reader.line_num
                    )
                if warn:
                    warn(line + 1, reader.line_num)
                    warn = None
            line = reader.line_num
            if cells:
                yield cells
    except csv.Error as error:
        closed = "unexpected end" not in str(error)
        fault = "text follows a closing quotation mark" if closed else "a quotation mark is never closed"
        message = (
            f': {fault}; put quotation marks around the cell and double those inside, such as "say ""hi"""'
        )
        raise _RowError(message, line + 1, reader.line_num) from error


def _ragged(cells: int, width: int, delimiter: str) -> str:
    return (
        f" has {cells} cell{'s' * (cells != 1)}, the header has {width}: put quotation marks around cells with "
        f"{_name(delimiter)} inside, add cells that are missing, or pass another delimiter=…"
    )


def _say_literal(file: TableFile) -> None:
    info_once(f"{file}: quotation marks are read as they are, since they do not fit the rows")


def _name(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else repr(delimiter)


def _swallowed(cells: list[str], delimiter: str) -> bool:
    """Whether a cell goes over lines that each would be a row of the same length by itself."""
    text = delimiter.join(cells)
    if delimiter != "\t" and re.search(rf"{re.escape(delimiter)}\s", text):
        return False  # as between words
    counts = {line.count(delimiter) for line in text.split("\n")}
    return counts == {len(cells) - 1} and any(delimiter in cell and "\n" in cell for cell in cells)
