"""What the paper prints: its tables, and what it claims that they show."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lastword.errors import RequestError, unknown_name

SOURCE = "arXiv:2507.22729v2"
CellName = tuple[str, str]
"""Row and column of a cell."""


@dataclass(frozen=True)
class Claim:
    """One cell is above another.

    Attributes:
        text: the claim in words.
        better: row and column of the higher cell.
        worse: row and column of the lower cell.
        every_size: whether it is a claim about models of several sizes, not about one model.
    """

    text: str
    better: CellName
    worse: CellName
    every_size: bool = False


@dataclass(frozen=True)
class Table:
    """A table of scores.

    Attributes:
        name: "table3" ….
        title: its subject.
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
    def of_sizes(self) -> bool:
        """Whether it compares models of several sizes."""
        return any(claim.every_size for claim in self.claims)

    @property
    def rows(self) -> list[str]:
        """All rows of all models, in the paper's order."""
        return list(dict.fromkeys(row for rows in self.published.values() for row in rows))

    def figure(self, model: str, cell: CellName) -> float | None:
        """What the paper prints in a cell; None where it prints nothing."""
        row, column = cell
        figures = self.published.get(model, {}).get(row)
        return figures[self.columns.index(column)] if figures else None

    def differences(self, claim: Claim) -> dict[str, float]:
        """Model of the paper → difference of the two cells of a claim, in points."""
        pairs = {
            model: (self.figure(model, claim.better), self.figure(model, claim.worse))
            for model in self.published
        }
        return {
            model: round(better - worse, 2)
            for model, (better, worse) in pairs.items()
            if better is not None and worse is not None
        }


@cache
def published() -> dict[str, dict[str, Any]]:
    """Everything in `published.toml`."""
    return tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))


PAGES = (
    "table3", "table4", "layers", "table5", "table6", "table7", "table8", "table9", "table10", "figure1", "recipe",
    "defects",
)  # fmt: skip
"""What can be measured, in the order of the report: the paper's tables and figure, and what is added to them."""
SCORE_TABLES = ("table3", "table4", "table5", "table6", "table9", "table10")
"""The tables whose rows are ways to make an embedder and whose columns are poolings."""


def read_table(name: str) -> Table:
    """A table of scores by its name.

    Raises:
        RequestError: an unknown table.
    """
    if name not in SCORE_TABLES:
        raise RequestError(unknown_name("table", name, SCORE_TABLES))
    content = published()[name]
    claims = [
        Claim(row["text"], tuple(row["better"]), tuple(row["worse"]), row.get("every_size", False))
        for row in content["claims"]
    ]
    plain = {
        key: content[key] for key in ("title", "metric", "published", "note", "template") if key in content
    }
    return Table(name, columns=tuple(content["columns"]), claims=tuple(claims), **plain)
