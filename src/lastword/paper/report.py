"""The pages of the report: figures beside the paper's, claims and verdicts, as Markdown, CSV and plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lastword.paper.claims import Cells, Verdict, count
from lastword.paper.tables import SOURCE, Table
from lastword.report.table import percent, with_interval
from lastword.uncertainty import Summary

Record = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """What was measured for one table: Markdown, a record of each figure for the CSV, and facts for the JSON."""

    name: str
    title: str
    body: str
    records: list[Record]
    facts: dict[str, Any]
    verdicts: Sequence[Verdict] = ()

    @property
    def markdown(self) -> str:
        """Heading and body."""
        name = self.name.replace("table", "Table ").replace("figure", "Figure ")
        return f"## {name[0].upper()}{name[1:]}: {self.title}\n\n{self.body}"

    def with_note(self, note: str) -> Page:
        """The same page with another note, after those in which its body ends."""
        notes = [*self.facts.get("notes", ()), note]
        return replace(self, body=f"{self.body}\n{bullet_list([note])}", facts={**self.facts, "notes": notes})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            "table": self.name,
            "cells": self.records,
            "verdicts": [_verdict_facts(verdict) for verdict in self.verdicts],
            **self.facts,
        }


def report(scale: str, pages: Sequence[Page]) -> str:
    """All pages under one heading, with a count of the verdicts."""
    verdicts = [verdict for page in pages for verdict in page.verdicts]
    lines = [
        f"# {SOURCE}, measured again",
        f"Scale: {scale}. Percentages. ± is the standard error that comes from training seeds and the random draws "
        "of the protocol, in brackets the one that comes from the sampling of texts. Differences are paired (same "
        "texts, draws and seeds) and have 95 % intervals. Chance: the V-measure of the same clusters against "
        "shuffled labels, or the share of the most frequent label. AMI: adjusted mutual information, 0 for chance.",
    ]
    if verdicts:
        total = sum(not verdict.repeats for verdict in verdicts)
        parts = ", ".join(f"{word}: {number}" for word, number in count(verdicts).items() if number)
        lines.append(f"Verdicts on {total} claims, each counted once: {parts}.")
    return "\n\n".join([*lines, *(page.markdown for page in pages)]) + "\n"


def score_page(table: Table, cells: Mapping[str, Cells], verdicts: list[Verdict], notes: list[str]) -> Page:
    """A table of scores with its claims; a cell is None where something is missing."""
    notes = [*notes, table.note] if table.note else notes
    claims = [_claims(table, verdicts, list(cells))] if verdicts else []
    body = "\n\n".join([_scores(table, cells), *claims, bullet_list(notes)])
    tasks: dict[str, Any] = {}
    for model, own in cells.items():
        measured = {", ".join(name): cell.tasks for name, cell in own.items() if cell}
        tasks[model] = {
            name: {task: asdict(scores[task]) for task in scores} for name, scores in measured.items()
        }
    facts = {"notes": notes, "tasks": tasks}
    return Page(table.name, table.title, body, _records(table, cells), facts, verdicts)


def markdown_table(rows: Iterable[Sequence[str]], text_columns: Sequence[int] = (0,)) -> str:
    """A Markdown table; the first row is the heading, all but the text columns are aligned on the right."""
    heading, *body = rows
    rule = ["---" if column in text_columns else "---:" for column in range(len(heading))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heading, rule, *body])


def bullet_list(notes: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {note}" for note in notes)


def as_csv(records: Sequence[Record]) -> str:
    """Records of one or several tables; a column that a table lacks is empty."""
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def summary_record(summary: Summary | None) -> Record:
    """Columns of the CSV for a score, in percent."""
    if summary is None:
        return {}
    shares = {"score": summary.value, "draw_se": summary.draw_se, "text_se": summary.text_se}
    shares |= {"chance": summary.chance, "ami": summary.ami}
    percents = {name: None if share is None else round(100 * share, 2) for name, share in shares.items()}
    return {**percents, "n": summary.n, "seeds": summary.seeds}


def with_error(summary: Summary) -> str:
    """A score with both standard errors: "15.3 ± 0.2 (0.9)"."""
    texts = "" if summary.text_se is None else f" ({percent(summary.text_se)})"
    return f"{percent(summary.value)} ± {percent(summary.draw_se)}{texts}"


def score_columns(summary: Summary | None, shown: Callable[[Summary], str] = with_error) -> list[str]:
    """A score, chance and AMI as three cells of a table."""
    if summary is None:
        return ["missing", "", ""]
    return [shown(summary), percent(summary.chance), percent(summary.ami)]


def _scores(table: Table, cells: Mapping[str, Cells]) -> str:
    extra = ["chance", "AMI"] if table.metric == "v_measure" else ["chance"]
    ours = [heading for model in cells for heading in (f"{model}, here", *extra)]
    rows = [["", *(f"{name}, paper" for name in table.published), *ours]]
    measured = dict.fromkeys(row for own in cells.values() for row, _ in own)
    for name in [
        (row, column) for row in {**dict.fromkeys(table.rows), **measured} for column in table.columns
    ]:
        if any(name in own for own in cells.values()):
            figures = (table.figure(model, name) for model in table.published)
            printed = ["–" if figure is None else f"{figure:.1f}" for figure in figures]
            summaries = [cell.summary if (cell := own.get(name)) else None for own in cells.values()]
            found = [part for summary in summaries for part in score_columns(summary)[: 1 + len(extra)]]
            rows.append([", ".join(name), *printed, *found])
    return markdown_table(rows)


def _claims(table: Table, verdicts: list[Verdict], models: Sequence[str]) -> str:
    papers = list(table.published)
    rows = [["claim of the paper", *papers, "measured here [95 %]", "verdict"]]
    for verdict in verdicts:
        printed = (verdict.published.get(name) for name in papers)
        ours = ", ".join(
            (f"{model}: " if len(models) > 1 else "") + with_interval(difference)
            for model, difference in verdict.differences.items()
        )
        word = f"{verdict.word} (repeats {verdict.repeats})" if verdict.repeats else verdict.word
        rows.append([
            verdict.claim.text, *("–" if figure is None else f"{figure:+.1f}" for figure in printed),
            ours or "–", word,
        ])  # fmt: skip
    return markdown_table(rows, text_columns=(0, len(papers) + 2))


def _records(table: Table, cells: Mapping[str, Cells]) -> list[Record]:
    """A record for each cell, as the CSV has them."""
    records = []
    for model, own in cells.items():
        for name, cell in own.items():
            printed = {paper: table.figure(paper, name) for paper in table.published}
            same = printed.get(model)
            scores = summary_record(cell.summary if cell else None) or {"score": None}
            difference = None if same is None or not cell else round(100 * cell.summary.value - same, 2)
            records.append({
                "table": table.name, "model": model, "row": name[0], "column": name[1], **scores,
                "difference": difference, **{f"published {paper}": figure for paper, figure in printed.items()},
            })  # fmt: skip
    return records


def _verdict_facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "claim": verdict.claim.text,
        "published": verdict.published,
        "measured": {model: difference.to_dict() for model, difference in verdict.differences.items()},
        "verdict": verdict.word,
        "repeats": verdict.repeats or None,
    }
