"""The pages: the paper's figures and ours, the claims and what becomes of them, as Markdown, CSV and plain values."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from lastword.paper.figures import SOURCE, Table
from lastword.paper.verdict import Cells, Verdict

Record = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """What was found about one table.

    Attributes:
        name: "table3" ….
        title: its heading.
        body: Markdown under the heading.
        records: one for each figure, for the CSV.
        facts: everything, as plain values.
    """

    name: str
    title: str
    body: str
    records: list[Record]
    facts: dict[str, Any]

    @property
    def markdown(self) -> str:
        """Heading and body."""
        name = self.name.replace("table", "Table ").replace("figure", "Figure ").replace("defects", "Defects")
        return f"## {name}: {self.title}\n\n{self.body}"


@dataclass(frozen=True)
class Outcome:
    """A table measured.

    Attributes:
        table: what the paper prints.
        cells: our model → row and column → value; None where something was missing.
        verdicts: our model → what becomes of each claim.
        told: what was scored, and what stands in for what.
    """

    table: Table
    cells: dict[str, Cells]
    verdicts: dict[str, list[Verdict]]
    told: list[str]


def page(outcome: Outcome) -> Page:
    """A table of scores with its claims."""
    table = outcome.table
    parts = [_figures(outcome), *(_claims(outcome, model) for model in outcome.cells if table.claims)]
    notes = [*outcome.told, table.note] if table.note else outcome.told
    body = "\n\n".join([*parts, as_list(notes)])
    facts = {
        "told": notes,
        "tasks": {
            model: {f"{row}, {column}": value.tasks for (row, column), value in cells.items() if value}
            for model, cells in outcome.cells.items()
        },
        "verdicts": {
            model: [
                {"claim": one.claim.text, "published": one.published, "difference": one.difference,
                 "noise": one.noise, "verdict": one.word}
                for one in verdicts
            ]
            for model, verdicts in outcome.verdicts.items()
        },
    }  # fmt: skip
    return Page(table.name, table.title, body, rows(outcome), facts)


def as_list(notes: list[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {note}" for note in notes)


def rows(outcome: Outcome) -> list[Record]:
    """One record for each cell, as the CSV has them."""
    table, found = outcome.table, []
    for model, cells in outcome.cells.items():
        for (row, column), value in cells.items():
            published = {name: table.figure(name, (row, column)) for name in table.published}
            own = published.get(model)
            found.append({
                "table": table.name, "model": model, "row": row, "column": column,
                "score": round(value.mean, 2) if value else None, "band": round(value.band, 2) if value else None,
                "seeds": value.seeds if value else None,
                "difference": round(value.mean - own, 2) if value and own is not None else None,
                **{f"published {name}": figure for name, figure in published.items()},
            })  # fmt: skip
    return found


def as_csv(records: list[Record]) -> str:
    """Records of one or several tables; a column that a table lacks is empty."""
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def line(*cells: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _figures(outcome: Outcome) -> str:
    table, ours = outcome.table, list(outcome.cells)
    lines = [
        line("", *(f"{name}, paper" for name in table.published), *ours),
        line("---", *["---:"] * (len(table.published) + len(ours))),
    ]
    for row in table.rows:
        for column in table.columns:
            place = (row, column)
            if not any(place in cells for cells in outcome.cells.values()):
                continue
            published = [_shown(table.figure(name, place)) for name in table.published]
            values = [cells.get(place) for cells in outcome.cells.values()]
            lines.append(
                line(
                    f"{row}, {column}",
                    *published,
                    *(f"{value.mean:.1f} ± {value.band:.1f}" if value else "missing" for value in values),
                )
            )
    return "\n".join(lines)


def _claims(outcome: Outcome, model: str) -> str:
    verdicts = outcome.verdicts[model]
    papers = list(outcome.table.published)
    lines = [
        line(f"what {SOURCE} shows", *papers, model, "verdict"),
        line("---", *["---:"] * (len(papers) + 1), "---"),
    ]
    for one in verdicts:
        here = "–" if one.difference is None else f"{one.difference:+.1f} ± {one.noise:.1f}"
        lines.append(
            line(one.claim.text, *(_signed(one.published.get(name)) for name in papers), here, one.word)
        )
    return "\n".join(lines)


def _shown(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.1f}"


def _signed(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:+.1f}"
