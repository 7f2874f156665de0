"""Columns of a file, in chunks or whole, by one rule for every format and command.

    kind      | a cell may be                                  | it is read as
    ----------|------------------------------------------------|------------------------------
    text      | a string that is not blank                     | the string
    label     | a string that is not blank, a number, a truth  | the string, or as it is written in JSON
              | value, a date or a time                        | or ISO 8601
    number    | a finite number, a boolean, their string       | the digits, 1 or 0
    blank     | a string, null                                 | the string, ""
    negatives | a string, null, a list of these                | the strings that are not blank

A column of negatives may also be several, NAME_1, NAME_2 and so on. Values of dictionary columns are decoded first,
and a key that a JSON object lacks is null. Rows with any other cell are an error that names file, columns and rows,
or are left out with `drop_empty=True`.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Literal, TypeGuard

from lastword.errors import TableError
from lastword.files.formats import BLOCK_ROWS, Block, Columns, plain, read_blocks
from lastword.files.sources import Source, table_file

Kind = Literal["text", "label", "number", "blank", "negatives"]
_SHOWN_ROWS, _SHOWN_VALUES = 5, 12


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file, without the unusable ones.

    Attributes:
        rows: n numbers of the rows in the file, from 0.
        columns: name → n strings.
        unusable: number of a row → column and reason.
        negatives: n lists of strings, of the column of negatives; empty lists without one.
    """

    rows: list[int]
    columns: dict[str, list[str]]
    unusable: dict[int, tuple[str, str]]
    negatives: list[list[str]] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Rows read, unusable ones included."""
        return len(self.rows) + len(self.unusable)


def read_chunks(
    source: Source,
    kinds: Mapping[str, Kind],
    size: int,
    *,
    optional: Sequence[str] = (),
    drop_empty: bool = False,
) -> Iterator[Chunk]:
    """Yield columns of a file, `size` rows at a time, in constant memory.

    Args:
        source: a file or data set, as for `lastword.files.formats.read_blocks`.
        kinds: column → its kind; at most one has negatives.
        size: rows of a chunk.
        optional: "blank" columns that may be missing; their cells are "" then.
        drop_empty: leave out unusable rows instead of refusing the file.

    Raises:
        MissingFileError, TableError: see the message.
    """
    blocks, done = read_blocks(source, _columns(kinds, optional)), 0
    for chunk in _chunks(blocks, {**_kinds(optional, "blank"), **kinds}, size):
        done += chunk.read
        if chunk.unusable and not drop_empty:
            advice = "" if set(kinds.values()) - {"blank", "negatives"} else "fix them"
            raise TableError(_describe(source, chunk.unusable, done, "the first ", advice))
        yield chunk


def read_texts(
    source: Source,
    columns: Sequence[str],
    *,
    labels: Sequence[str] = (),
    numbers: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    drop_empty: bool = False,
) -> dict[str, list[str]]:
    """Read columns of a whole file.

    Args:
        source: a file or data set, as for `lastword.files.formats.read_blocks`.
        columns: columns of texts.
        labels: columns of labels.
        numbers: columns of numbers.
        where: column → value: read only rows that have it, such as ``{"split": "test"}``.
        drop_empty: leave out unusable rows instead of refusing the file.

    Returns:
        Column → n strings.

    Raises:
        MissingFileError, TableError: see the message; it names file, column and rows.
    """
    kinds = _kinds(columns, "text") | _kinds(labels, "label") | _kinds(numbers, "number")
    conditions = dict(where or {})
    seen: dict[str, set[str]] = {name: set() for name in conditions}

    def blocks() -> Iterator[Block]:
        for block in read_blocks(source, Columns([*kinds, *conditions])):
            for name, values in seen.items():
                values.update(map(plain, block[name]))
            yield block

    data: dict[str, list[str]] = {name: [] for name in kinds}
    unusable: dict[int, tuple[str, str]] = {}
    for chunk in _chunks(blocks(), kinds, BLOCK_ROWS, conditions):
        unusable |= chunk.unusable
        for name, cells in chunk.columns.items():
            data[name] += cells
    kept = len(next(iter(data.values())))
    if unusable and not drop_empty:
        raise TableError(_describe(source, unusable, kept + len(unusable)))
    if not kept and not unusable:
        raise TableError(f"{source} has no row with {_condition(conditions, seen)}")
    if not kept:
        raise TableError(f"{source}: no row has usable cells in {', '.join(kinds)}")
    return data


def require_columns(source: Source, columns: Sequence[str]) -> None:
    """Refuse a file that is missing, unreadable or lacks a column; reads the first rows only.

    A data set on the Hub is left for later.

    Raises:
        MissingFileError, TableError: see the message.
    """
    if not table_file(source).hub:
        next(read_blocks(source, Columns(columns)))


def _columns(kinds: Mapping[str, Kind], optional: Sequence[str]) -> Columns:
    negatives = _negatives(kinds)
    return Columns([name for name in kinds if name != negatives], optional, negatives)


def _negatives(kinds: Mapping[str, Kind]) -> str:
    """The column of negatives; "" without one."""
    return next((name for name, kind in kinds.items() if kind == "negatives"), "")


def _kinds(names: Sequence[str], kind: Kind) -> dict[str, Kind]:
    return dict.fromkeys(names, kind)


def _chunks(
    blocks: Iterable[Block], kinds: Mapping[str, Kind], size: int, where: Mapping[str, str] | None = None
) -> Iterator[Chunk]:
    conditions, start, negatives = where or {}, 0, _negatives(kinds)
    joined = (_join(block, negatives) for block in blocks) if negatives else blocks
    for block in _cut(joined, [*kinds, *conditions], size):
        count = _rows(block)
        unusable: dict[int, tuple[str, str]] = {}
        parsed: dict[str, list[str | None]] = {}
        chosen = [
            row
            for row in range(count)
            if all(plain(block[name][row]) == conditions[name] for name in conditions)
        ]
        texts_of = [_parse_negatives(cell) for cell in block[negatives]] if negatives else [[]] * count
        for name, kind in kinds.items():
            cells = block[name]
            parsed[name] = [] if name == negatives else [_PARSERS[kind](cell) for cell in cells]
            for row in chosen:
                if (texts_of if name == negatives else parsed[name])[row] is None:
                    unusable.setdefault(start + row, (name, unusable_reason(cells[row], kind)))
        rows = [row for row in chosen if start + row not in unusable]
        columns = {
            name: [str(cells[row]) for row in rows] for name, cells in parsed.items() if name != negatives
        }
        yield Chunk([start + row for row in rows], columns, unusable, [texts_of[row] or [] for row in rows])
        start += count


def _join(block: Block, name: str) -> Block:
    """A block whose numbered columns are one, with lists of cells."""
    numbered = re.compile(rf"{re.escape(name)}(_\d+)?")
    parts = [column for column in block if numbered.fullmatch(column)]
    if parts == [name] or not parts:
        return block
    parts.sort(key=lambda column: int(column.removeprefix(name).removeprefix("_") or 0))
    rest = {column: cells for column, cells in block.items() if column not in parts}
    cells = zip(*(block[column] for column in parts), strict=True)
    return rest | {name: [list(chain.from_iterable(map(_listed, row))) for row in cells]}


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


def _is_text(cell: object) -> TypeGuard[str]:
    """Whether a cell is a string that can be written: JSON may have half of a character, such as "\\ud83d"."""
    if not isinstance(cell, str):
        return False
    try:
        return cell.isascii() or bool(cell.encode())
    except UnicodeEncodeError:
        return False


def usable_text(cell: object) -> str | None:
    """The text of a cell; None for one that is blank or no text."""
    return cell if _is_text(cell) and cell.strip() else None


def usable_label(cell: object) -> str | None:
    """The label of a cell as text; None for one that is blank or no label."""
    if isinstance(cell, str) or not isinstance(cell, _SCALARS):
        return usable_text(cell)
    return None if isinstance(cell, float) and not math.isfinite(cell) else plain(cell)


def _parse_number(cell: object) -> str | None:
    if not isinstance(cell, bool | int | float | str | Decimal):
        return None
    try:
        return str(int(cell) if isinstance(cell, bool) else cell) if math.isfinite(float(cell)) else None
    except ValueError:
        return None


def _parse_blank(cell: object) -> str | None:
    return "" if cell is None else cell if _is_text(cell) else None


def _listed(cell: object) -> list[object]:
    """A cell of negatives as a list; one in a CSV file may be a list as JSON writes it."""
    if isinstance(cell, str) and _JSON_LIST.fullmatch(cell):
        with suppress(json.JSONDecodeError):  # a text that looks like a list
            cell = json.loads(cell)
    return cell if isinstance(cell, list) else [cell]


def _not_negative(cell: object) -> str:
    """What in a cell of negatives is neither a text nor null; "" for nothing."""
    for text in _listed(cell):
        if isinstance(text, str) and _PYTHON_LIST.fullmatch(text):
            return "a list that is not JSON"
        if text is not None and not _is_text(text):
            return _type_name(text)
    return ""


def _type_name(cell: object) -> str:
    return "half a character" if isinstance(cell, str) else type(cell).__name__


def _parse_negatives(cell: object) -> list[str] | None:
    if _not_negative(cell):
        return None
    return [text for text in _listed(cell) if isinstance(text, str) and text.strip()]


_JSON_LIST = re.compile(r'\s*\[\s*".*"\s*\]\s*', re.DOTALL)
_PYTHON_LIST = re.compile(r"\s*\[\s*'.*'\s*\]\s*", re.DOTALL)  # as pandas writes lists to CSV
_SCALARS = (bool, int, float, Decimal, datetime.date, datetime.time, datetime.timedelta)
_PARSERS: dict[Kind, Callable[[object], str | None]] = {
    "text": usable_text, "label": usable_label, "number": _parse_number, "blank": _parse_blank,
}  # fmt: skip
_NOT_A_NUMBER = "not a number"


def unusable_reason(cell: object, kind: Kind) -> str:
    """Why a cell is unusable."""
    if cell is None:
        return "null"
    if isinstance(cell, str) and not cell.strip():
        return "empty"
    if kind == "negatives":
        return _not_negative(cell)
    return _NOT_A_NUMBER if kind == "number" else _type_name(cell)


def _describe(
    source: Source,
    unusable: Mapping[int, tuple[str, str]],
    total: int,
    extent: str = "",
    advice: str = "",
) -> str:
    """Which rows are unusable and why, and what to do."""
    reasons = sorted({f"{reason} in {name!r}" for name, reason in unusable.values()})
    shown = ", ".join(str(row) for row in sorted(unusable)[:_SHOWN_ROWS])
    shown += ", …" if len(unusable) > _SHOWN_ROWS else ""
    numbers = all(reason == _NOT_A_NUMBER for _, reason in unusable.values())
    what = "cells that are not numbers" if numbers else "empty or non-text cells"
    others = (
        "fix them or pass drop_empty=True" if len(unusable) < total else "choose another column or fix them"
    )
    return (
        f"{source}: {len(unusable):,} of {extent}{total:,} rows have {what} ({'; '.join(reasons)}; rows {shown}, "
        f"counted from 0); {advice or others}"
    )


def _condition(conditions: Mapping[str, str], seen: Mapping[str, set[str]]) -> str:
    """The condition that no row meets, and the values that there are."""
    name = next((name for name, value in conditions.items() if value not in seen[name]), [*conditions][-1])
    values = ", ".join(sorted(seen[name])[:_SHOWN_VALUES])
    return f"{name} = {conditions[name]!r}; the values there are: {values}"
