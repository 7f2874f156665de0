"""Tables as text: columns aligned for a terminal, and how scores and differences are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastword.uncertainty import Difference

_NUMBER = re.compile(r"[<≤≥+−-]?\d[\d,.]*(e[+−-]?\d+)?%?( [%±…(/].*| of [\d,]+)?")
_MISSING = ("", "–")


def aligned(rows: Sequence[Sequence[str]], *, right: Iterable[int] | None = None, indent: str = "") -> str:
    """Align cells in columns, two spaces apart.

    >>> print(aligned([("model", "texts", "score"), ("mini", "1,200", "41.3 ± 0.2"), ("tfidf", "80", "–")]))
    model  texts       score
    mini   1,200  41.3 ± 0.2
    tfidf     80           –

    Args:
        rows: the heading first; every row has the same number of cells, or none for a blank line.
        right: columns that are aligned on the right, counted from 0; by default those whose cells below the
            heading are all numbers (a unit, an error bar or an interval may follow) or missing ("", "–").
        indent: put before every line.

    Returns:
        Lines without trailing spaces, joined by newlines.
    """
    full = [row for row in rows if row]
    columns = list(zip(*full, strict=True))
    right = {i for i, cells in enumerate(columns) if _numeric(cells[1:])} if right is None else set(right)
    widths = [max(map(_width, cells)) for cells in columns]
    return "\n".join(
        (indent + "  ".join(_padded(cell, widths[i], i in right) for i, cell in enumerate(row))).rstrip()
        for row in rows
    )


def _numeric(cells: Sequence[str]) -> bool:
    return any(cell not in _MISSING for cell in cells) and all(
        cell in _MISSING or _NUMBER.fullmatch(cell) for cell in cells
    )


def _padded(cell: str, width: int, right: bool) -> str:
    spaces = " " * (width - _width(cell))
    return spaces + cell if right else cell + spaces


def _width(cell: str) -> int:
    """Columns on a terminal: East Asian characters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in cell)
    return len(cell) + wide - sum(map(bool, map(unicodedata.combining, cell)))


def percent(value: float | None) -> str:
    """0 … 1 as a percentage with one digit; a dash for None and NaN."""
    return "–" if value is None or value != value else f"{100 * value:.1f}"


def with_interval(difference: Difference | None, missing: str = "–") -> str:
    """A difference in percent with its 95 % interval: "+3.9 [+2.0, +5.8]"."""
    if difference is None:
        return missing
    return f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def shortened(text: str, length: int = 60) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def shortened_name(name: str, length: int) -> str:
    """A model's name on a narrow label: the end of a long one, since the paths of a run differ there.

    >>> shortened_name("adapted/model", 22), shortened_name("/data/tickets/2026/adapted/model", 22)
    ('adapted/model', '…/2026/adapted/model')
    """
    line = " ".join(name.split())
    if len(line) <= length:
        return line
    end = line[1 - length :]
    folders = end.partition("/")[2]
    return f"…/{folders}" if "/" in folders else f"…{end}"
