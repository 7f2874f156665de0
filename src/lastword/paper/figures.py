"""What the paper prints: its tables, and what it claims they show."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lastword.errors import RequestError, unknown_name

SOURCE = "arXiv:2507.22729v2"
Place = tuple[str, str]
"""Row and column of a cell."""


@dataclass(frozen=True)
class Claim:
    """One cell is above another.

    Attributes:
        text: in words.
        better: row and column of the one that is above.
        worse: of the one below.
    """

    text: str
    better: Place
    worse: Place


@dataclass(frozen=True)
class Table:
    """A table of scores.

    Attributes:
        name: "table3" ….
        title: what it is about.
        metric: "v_measure" or "accuracy".
        columns: "mean", "last", "eos".
        published: model → row → a percentage for each column.
        claims: what the paper says about it.
        note: what a reader should know about the paper's figures, or "".
        template: of the rows that begin with "emotion", or "".
    """

    name: str
    title: str
    metric: str
    columns: tuple[str, ...]
    published: dict[str, dict[str, list[float]]]
    claims: tuple[Claim, ...]
    note: str = ""
    template: str = ""

    @property
    def rows(self) -> list[str]:
        """Every row that a model has, in the paper's order."""
        return list(dict.fromkeys(row for rows in self.published.values() for row in rows))

    def figure(self, model: str, place: Place) -> float | None:
        """What the paper prints in a cell; None where it prints nothing."""
        row, column = place
        cells = self.published.get(model, {}).get(row)
        return cells[self.columns.index(column)] if cells else None


@cache
def figures() -> dict[str, dict[str, Any]]:
    """Everything in `published.toml`."""
    return tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))


TABLES = tuple(figures())
SCORED = ("table3", "table4", "table5", "table6", "table9", "table10")
"""The tables whose rows are ways to make an embedder and whose columns are poolings."""


def read_table(name: str) -> Table:
    """A table of scores by its name.

    Raises:
        RequestError: no such table.
    """
    if name not in SCORED:
        raise RequestError(unknown_name("table", name, SCORED))
    facts = figures()[name]
    claims = [
        Claim(one["text"], _place(one["better"]), _place(one["worse"])) for one in facts.get("claims", ())
    ]
    return Table(
        name=name,
        title=facts["title"],
        metric=facts["metric"],
        columns=tuple(facts["columns"]),
        published=facts["published"],
        claims=tuple(claims),
        note=facts.get("note", ""),
        template=facts.get("template", ""),
    )


def _place(cell: list[str]) -> Place:
    row, column = cell
    return row, column
