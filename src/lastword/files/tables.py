"""Read columns of text from Parquet, CSV, TSV, JSON lines and plain text files.

Every verb that takes a file takes it through here, so that a bad file gives the same clear line
everywhere: which file, which column or which rows, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from lastword.errors import MissingFileError, TableError

Column = list[str]
Reader = TypeVar("Reader", bound=Callable[..., Any])
_BLOCK_BYTES = 64 << 20  # a row must fit into one; pyarrow's own 1 MiB is less than a long document


def _read_text_lines(path: Path) -> pa.Table:
    # Not splitlines(): it ends a line at form feeds and other characters that stand inside a text.
    lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    return pa.table({"text": pa.array(lines, pa.string())})


def _read_csv(path: Path, delimiter: str = ",") -> pa.Table:
    # A cell is text unless the file says otherwise: a label "007" must not become the number 7.
    reading = pa.csv.ReadOptions(block_size=_BLOCK_BYTES)
    parsing = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = pa.csv.open_csv(path, read_options=reading, parse_options=parsing).schema.names
    return pa.csv.read_csv(
        path,
        read_options=reading,
        parse_options=parsing,
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _read_json(path: Path) -> pa.Table:
    return pa.json.read_json(
        path,
        read_options=pa.json.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pa.json.ParseOptions(newlines_in_values=True),
    )


READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".parquet": pa.parquet.read_table,
    ".csv": _read_csv,
    ".tsv": lambda path: _read_csv(path, "\t"),
    ".jsonl": _read_json,
    ".json": _read_json,
    ".txt": _read_text_lines,
}


def by_ending(path: Path, readers: Mapping[str, Reader]) -> Reader:
    """The reader for a file's ending.

    Raises:
        MissingFileError, TableError: there is no such file, or no reader for it.
    """
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a {', '.join(readers)} file that exists")
    if path.suffix.lower() not in readers:
        raise TableError(
            f"{path}: cannot read {path.suffix or 'a file without an ending'}; use {', '.join(readers)}"
        )
    return readers[path.suffix.lower()]


def read_table(path: str | Path) -> pa.Table:
    """Read a whole file by its ending.

    Raises:
        MissingFileError: there is no such file.
        TableError: unknown ending, unreadable content, or no rows.
    """
    path = Path(path)
    reader = by_ending(path, READERS)
    if path.stat().st_size == 0:
        raise TableError(f"{path} is empty: it needs at least one row")
    try:
        table = reader(path)
        table.validate(full=True)  # JSON and Parquet may hold bytes that are not UTF-8
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise TableError(
            f"{path} is not a readable {path.suffix} file: {str(error).splitlines()[0]}"
        ) from error
    if table.num_rows == 0:
        raise TableError(f"{path} has columns but no rows: it needs at least one row")
    return table


def columns_of(table: pa.Table, path: str | Path, names: Sequence[str]) -> pa.Table:
    """Keep the named columns, or say which columns there are."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise TableError(
            f"{path} has no column {missing[0]!r}; its columns are: {', '.join(table.column_names)}"
        )
    twice = [name for name in names if table.column_names.count(name) > 1]
    if twice:
        raise TableError(f"{path} has several columns {twice[0]!r}: rename all but one")
    return table.select(list(dict.fromkeys(names)))


def read_texts(
    path: str | Path,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    where: dict[str, str] | None = None,
    drop_empty: bool = False,
) -> dict[str, Column]:
    """Read columns of strings; rows with a null, a number or an empty text are an error or are dropped.

    Args:
        path: the file.
        columns: names that must be there; every cell must be a non-empty string. Columns of integers
            (labels, usually) are taken as their decimal text.
        optional: names taken if they are there; their empty cells stay, as "".
        where: keep only rows whose column has this value, such as ``{"split": "test"}``.
        drop_empty: leave out rows with an unusable cell instead of refusing the file.

    Returns:
        Column name → list of n strings.

    Raises:
        MissingFileError, TableError: see the message; it names file, column and rows.
    """
    table = read_table(path)
    for name, value in (where or {}).items():
        table = _filtered(table, path, name, value)
    present = [name for name in optional if name in table.column_names]
    chosen = columns_of(table, path, [*columns, *present])
    data = {name: _cells(chosen.column(name)) for name in chosen.column_names}
    bad = _unusable_rows({name: data[name] for name in columns})
    if bad and not drop_empty:
        raise TableError(_describe(path, bad, len(chosen)))
    keep = [row for row in range(len(chosen)) if row not in bad]
    if not keep:
        raise TableError(f"{path}: no row is left with a text in {', '.join(columns)}")
    return {name: [_text_or_blank(cells[row]) for row in keep] for name, cells in data.items()}


def _filtered(table: pa.Table, path: str | Path, name: str, value: str) -> pa.Table:
    cells = columns_of(table, path, [name]).column(name).cast(pa.string()).to_pylist()
    kept = table.filter(pa.array([cell == value for cell in cells]))
    if kept.num_rows == 0:
        there = ", ".join(sorted({str(cell) for cell in cells})[:12])
        raise TableError(f"{path} has no row with {name} = {value!r}; the values there are: {there}")
    return kept


def _cells(column: pa.ChunkedArray) -> list[object]:
    if pa.types.is_integer(column.type) or pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    cells: list[object] = column.to_pylist()
    return cells


def _text_or_blank(cell: object) -> str:
    return cell if isinstance(cell, str) else ""


def _unusable_rows(data: dict[str, list[object]]) -> dict[int, tuple[str, str]]:
    """Row number → (column, what is wrong with it)."""
    bad: dict[int, tuple[str, str]] = {}
    for name, cells in data.items():
        for row, cell in enumerate(cells):
            if cell is None:
                bad.setdefault(row, (name, "null"))
            elif not isinstance(cell, str):
                bad.setdefault(row, (name, type(cell).__name__))
            elif not cell.strip():
                bad.setdefault(row, (name, "empty"))
    return bad


def _describe(path: str | Path, bad: dict[int, tuple[str, str]], rows: int) -> str:
    kinds = sorted({f"{what} in {name!r}" for name, what in bad.values()})
    first = ", ".join(str(row) for row in sorted(bad)[:5])
    more = ", …" if len(bad) > 5 else ""
    return (
        f"{path}: {len(bad)} of {rows} rows hold no text ({'; '.join(kinds)}; rows {first}{more}, counted from 0); "
        "mend them or go on without them: --drop-empty"
    )
