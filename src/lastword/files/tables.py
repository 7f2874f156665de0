"""Columns of a file, in chunks or whole, by one rule for every format and command.

    kind    | a cell may be                               | it is read as
    --------|---------------------------------------------|------------------------------
    text    | a string that is not blank                  | the string
    label   | a string that is not blank, an integer      | the string, the decimal digits
    number  | a finite number, a boolean, their string    | the digits, 1 or 0
    blank   | a string, null                              | the string, ""

Values of dictionary columns are decoded first, and a key that a JSON object lacks is null. Rows with any
other cell are an error that names file, columns and rows, or are left out with `drop_empty=True`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet

from lastword.errors import TableError
from lastword.files.formats import BLOCK_ROWS, HUB, Block, read_blocks

Kind = Literal["text", "label", "number", "blank"]
_SHOWN_ROWS, _SHOWN_VALUES = 5, 12


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file, without the unusable ones.

    Attributes:
        rows: n numbers of the rows in the file, from 0.
        columns: name → n strings.
        unusable: number of a row → column and reason.
    """

    rows: list[int]
    columns: dict[str, list[str]]
    unusable: dict[int, tuple[str, str]]

    @property
    def read(self) -> int:
        """Rows read, unusable ones included."""
        return len(self.rows) + len(self.unusable)


def read_chunks(
    source: str | Path,
    kinds: Mapping[str, Kind],
    size: int,
    *,
    optional: Sequence[str] = (),
    drop_empty: bool = False,
) -> Iterator[Chunk]:
    """Yield columns of a file, `size` rows at a time, in constant memory.

    Args:
        source: a file or data set, as for `lastword.files.formats.read_blocks`.
        kinds: column → its kind.
        size: rows of a chunk.
        optional: "blank" columns that may be missing; their cells are "" then.
        drop_empty: leave out unusable rows instead of refusing the file.

    Raises:
        MissingFileError, TableError: see the message.
    """
    blocks, done = read_blocks(source, list(kinds), optional), 0
    for chunk in _chunks(blocks, {**_kinds(optional, "blank"), **kinds}, size):
        done += chunk.read
        if chunk.unusable and not drop_empty:
            raise TableError(_describe(source, chunk.unusable, f"the first {done:,}"))
        yield chunk


def read_texts(
    source: str | Path,
    columns: Sequence[str],
    *,
    labels: Sequence[str] = (),
    numbers: Sequence[str] = (),
    optional: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    drop_empty: bool = False,
) -> dict[str, list[str]]:
    """Read columns of a whole file.

    Args:
        source: a file or data set, as for `lastword.files.formats.read_blocks`.
        columns: columns of texts.
        labels: columns of labels.
        numbers: columns of numbers.
        optional: columns of texts that may be missing, and whose cells may be blank.
        where: column → value: read only rows that have it, such as ``{"split": "test"}``.
        drop_empty: leave out unusable rows instead of refusing the file.

    Returns:
        Column → n strings; optional columns only if the file has them.

    Raises:
        MissingFileError, TableError: see the message; it names file, column and rows.
    """
    required = _kinds(columns, "text") | _kinds(labels, "label") | _kinds(numbers, "number")
    kinds = _kinds(optional, "blank") | required
    conditions = dict(where or {})
    seen: dict[str, set[str]] = {name: set() for name in conditions}
    present: set[str] = set()

    def blocks() -> Iterator[Block]:
        for block in read_blocks(source, [*required, *conditions], optional):
            present.update(block)
            for name, values in seen.items():
                values.update(map(str, block[name]))
            yield block

    data: dict[str, list[str]] = {name: [] for name in kinds}
    unusable: dict[int, tuple[str, str]] = {}
    for chunk in _chunks(blocks(), kinds, BLOCK_ROWS, conditions):
        unusable |= chunk.unusable
        for name, cells in chunk.columns.items():
            data[name] += cells
    kept = len(next(iter(data.values())))
    if unusable and not drop_empty:
        raise TableError(_describe(source, unusable, f"{kept + len(unusable):,}"))
    if not kept and not unusable:
        raise TableError(f"{source} has no row with {_condition(conditions, seen)}")
    if not kept:
        raise TableError(f"{source}: no row has usable cells in {', '.join(required)}")
    return {name: cells for name, cells in data.items() if name in present}


def read_table(source: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read columns with the types that they have in the file.

    Args:
        source: a file or data set, as for `lastword.files.formats.read_blocks`.
        columns: their names; None reads all.

    Raises:
        MissingFileError, TableError: see the message.
    """
    cells: Block = {}
    rows = 0
    for block in read_blocks(source, columns):
        count = _rows(block)
        for name in dict.fromkeys([*cells, *block]):
            cells.setdefault(name, [None] * rows).extend(block.get(name, [None] * count))
        rows += count
    schema = None
    if Path(source).suffix.lower() == ".parquet":
        stored = pa.parquet.read_schema(source)
        schema = pa.schema([stored.field(name) for name in cells], stored.metadata)
    try:
        return pa.Table.from_pydict(cells, schema)
    except pa.ArrowException as error:
        raise TableError(f"{source} has a column with values of several types: {error}") from error


def require_columns(source: str | Path, columns: Sequence[str]) -> None:
    """Refuse a file that is missing, unreadable or lacks a column; reads the first rows only.

    A data set on the Hub is left for later.

    Raises:
        MissingFileError, TableError: see the message.
    """
    if not str(source).startswith(HUB):
        next(read_blocks(source, columns))


def _kinds(names: Sequence[str], kind: Kind) -> dict[str, Kind]:
    return dict.fromkeys(names, kind)


def _chunks(
    blocks: Iterable[Block], kinds: Mapping[str, Kind], size: int, where: Mapping[str, str] | None = None
) -> Iterator[Chunk]:
    conditions, start = where or {}, 0
    for block in _cut(blocks, [*kinds, *conditions], size):
        count = _rows(block)
        unusable: dict[int, tuple[str, str]] = {}
        parsed: dict[str, list[str | None]] = {}
        chosen = [
            row
            for row in range(count)
            if all(str(block[name][row]) == conditions[name] for name in conditions)
        ]
        for name, kind in kinds.items():
            parse = _PARSERS[kind]
            parsed[name] = [parse(cell) for cell in block[name]]
            for row in chosen:
                if parsed[name][row] is None:
                    unusable.setdefault(start + row, (name, _reason(block[name][row], kind)))
        rows = [row for row in chosen if start + row not in unusable]
        columns = {name: [str(cells[row]) for row in rows] for name, cells in parsed.items()}
        yield Chunk([start + row for row in rows], columns, unusable)
        start += count


def _cut(blocks: Iterable[Block], names: Sequence[str], size: int) -> Iterator[Block]:
    """Blocks of `size` rows with all the columns; one that a block lacks is filled with nulls."""
    held: Block = {name: [] for name in names}
    for block in blocks:
        count = _rows(block)
        for name, cells in held.items():
            cells += block.get(name, [None] * count)
        while _rows(held) >= size:
            yield {name: cells[:size] for name, cells in held.items()}
            held = {name: cells[size:] for name, cells in held.items()}
    if _rows(held):
        yield held


def _rows(block: Block) -> int:
    return len(next(iter(block.values())))


def _parse_text(cell: object) -> str | None:
    return cell if isinstance(cell, str) and cell.strip() else None


def _parse_label(cell: object) -> str | None:
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else _parse_text(cell)


def _parse_number(cell: object) -> str | None:
    if not isinstance(cell, bool | int | float | str):
        return None
    try:
        return str(int(cell) if isinstance(cell, bool) else cell) if math.isfinite(float(cell)) else None
    except ValueError:
        return None


def _parse_blank(cell: object) -> str | None:
    return "" if cell is None else cell if isinstance(cell, str) else None


_PARSERS: dict[Kind, Callable[[object], str | None]] = {
    "text": _parse_text, "label": _parse_label, "number": _parse_number, "blank": _parse_blank,
}  # fmt: skip
_NOT_A_NUMBER = "not a number"


def _reason(cell: object, kind: Kind) -> str:
    """Why a cell is unusable."""
    if cell is None:
        return "null"
    if isinstance(cell, str) and not cell.strip():
        return "empty"
    return _NOT_A_NUMBER if kind == "number" else type(cell).__name__


def _describe(source: str | Path, unusable: Mapping[int, tuple[str, str]], total: str) -> str:
    reasons = sorted({f"{reason} in {name!r}" for name, reason in unusable.values()})
    shown = ", ".join(str(row) for row in sorted(unusable)[:_SHOWN_ROWS])
    shown += ", …" if len(unusable) > _SHOWN_ROWS else ""
    numbers = all(reason == _NOT_A_NUMBER for _, reason in unusable.values())
    what = "cells that are not numbers" if numbers else "empty or non-text cells"
    return (
        f"{source}: {len(unusable):,} of {total} rows have {what} ({'; '.join(reasons)}; rows {shown}, counted "
        "from 0); fix them or pass drop_empty=True"
    )


def _condition(conditions: Mapping[str, str], seen: Mapping[str, set[str]]) -> str:
    """The condition that no row meets, and the values that there are."""
    name = next((name for name, value in conditions.items() if value not in seen[name]), [*conditions][-1])
    values = ", ".join(sorted(seen[name])[:_SHOWN_VALUES])
    return f"{name} = {conditions[name]!r}; the values there are: {values}"
