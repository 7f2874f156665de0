"""Tables of measured scores, from files in `results/`.

A file is JSON: an object with rows under "rows" and a sentence under "about". A row has dataset, task, model,
template, pooling and score (`lastword.uncertainty.Score.to_dict`); rows that differ in nothing but the score are
several training runs. Every task becomes a table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lastword.report.table import with_interval
from lastword.uncertainty import Difference, Score, Summary, combine, compare, summarize

Row = dict[str, Any]
NONE = "Not measured in this version."
LEGEND = (
    "Each cell: score ± standard error of the draws and training runs ± standard error of the sampling of texts, "
    "all × 100. Bold: the best of a row, and what is not distinguishable from it (paired, 95 %)."
)


@dataclass(frozen=True)
class Cell:
    """The scores of a model on one data set.

    Attributes:
        scores: one for each training run.
        summary: over the training runs.
    """

    scores: tuple[Score, ...]
    summary: Summary

    @classmethod
    def of(cls, rows: list[Row]) -> Cell | None:
        scores = tuple(Score.from_dict(row["score"]) for row in rows)
        return cls(scores, summarize(scores)) if scores else None


def read(path: Path) -> dict[str, Any] | None:
    """A results file; None if there is none, or one whose scores have no replicates."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
    scores = [row.get("score") for row in content["rows"]]
    return content if scores and all(isinstance(score, dict) for score in scores) else None


def score_table(path: Path) -> str:
    """The tables of one file."""
    content = read(path)
    if content is None:
        return NONE
    rows: list[Row] = content["rows"]
    parts = [content["about"], LEGEND]
    for task, metric in dict.fromkeys((row["task"], row["score"]["metric"]) for row in rows):
        table = Table([row for row in rows if (row["task"], row["score"]["metric"]) == (task, metric)])
        parts += [f"### {task.capitalize()}: {metric.replace('_', '-')} × 100", table.scores()]
        if any(cell.summary.ami is not None for cells in table.rows.values() for cell in cells if cell):
            parts += ["Adjusted mutual information of the same clusters (× 100; 0 is chance):", table.ami()]
    return "\n\n".join(parts)


class Table:
    """Rows are data sets, columns are models.

    Attributes:
        models: their columns' names.
        rows: data set → a cell for each model, None where there is no score.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.models = list(dict.fromkeys(_model(row) for row in rows))
        self.rows = {
            name: [
                Cell.of([row for row in rows if row["dataset"] == name and _model(row) == model])
                for model in self.models
            ]
            for name in dict.fromkeys(row["dataset"] for row in rows)
        }

    def scores(self) -> str:
        lines = []
        for name, cells in self.rows.items():
            present = [cell for cell in cells if cell]
            best = max(present, key=lambda cell: cell.summary.value)
            chances = [cell.summary.chance for cell in present if cell.summary.chance is not None]
            chance = f"{100 * fmean(chances):.1f}" if chances else "–"
            shown = ["–" if cell is None else _shown(cell, _level(cell, best)) for cell in cells]
            lines.append(_joined(f"{name} ({best.summary.n:,})", chance, *shown))
        columns = list(zip(*self.rows.values(), strict=True))
        means = [fmean(cell.summary.value for cell in cells) if all(cells) else None for cells in columns]
        errors = [
            "" if mean is None else _error_of_mean(cells) for mean, cells in zip(means, columns, strict=True)
        ]
        shown = [f"{_percent(mean)}{error}" for mean, error in zip(means, errors, strict=True)]
        heads = [model + _runs(cells) for model, cells in zip(self.models, columns, strict=True)]
        head = [_joined("data (texts)", "chance", *heads), _joined("---", *["---:"] * (len(heads) + 1))]
        return "\n".join([*head, *lines, _joined("mean", "", *shown)])

    def ami(self) -> str:
        heads = [_joined("data", *self.models), _joined("---", *["---:"] * len(self.models))]
        return "\n".join(
            [
                *heads,
                *(
                    _joined(name, *(_percent(cell.summary.ami) if cell else "–" for cell in cells))
                    for name, cells in self.rows.items()
                ),
            ]
        )


def difference_table(path: Path, model: str, others: Sequence[str]) -> str:
    """A model beside others on the clustering sets: the mean difference, and on how many sets it is better."""
    content = read(path)
    if content is None:
        return NONE
    table = Table([row for row in content["rows"] if row["task"] == "clustering"])
    (chosen,) = [number for number, name in enumerate(table.models) if name.split("<br>")[0] == model]
    lines = [
        _joined("compared with", "mean", "better on", "not distinguishable", "worse on"),
        _joined("---", *["---:"] * 4),
    ]
    for number, name in enumerate(table.models):
        if name.split("<br>")[0] not in others:
            continue
        sets = {data: compare(_scores(row[chosen]), _scores(row[number])) for data, row in table.rows.items()}
        both = [_over_sets([row[column] for row in table.rows.values()]) for column in (chosen, number)]
        by_verdict = [_named(sets, verdict) for verdict in ("better", "not distinguishable", "worse")]
        lines.append(_joined(name.replace("<br>", " "), with_interval(compare(*both)), *by_verdict))
    return "\n".join(lines)


def _scores(cell: Cell | None) -> tuple[Score, ...]:
    assert cell
    return cell.scores


def _over_sets(cells: Sequence[Cell | None]) -> list[Score]:
    """The mean over the sets, for each training run."""
    return [combine(run) for run in zip(*map(_scores, cells), strict=True)]


def _named(sets: dict[str, Difference], verdict: str) -> str:
    """How many sets have a verdict, and by how much; one or two are named."""
    found = {data: 100 * each.value for data, each in sets.items() if each.verdict == verdict}
    if not found:
        return "0"
    if len(found) > 2:
        return f"{len(found)} ({min(found.values()):+.1f} to {max(found.values()):+.1f})"
    return ", ".join(f"{data} ({value:+.1f})" for data, value in found.items())


def known_table(path: Path) -> str:
    """What the vectors of each model contain of the products' categories."""
    content = read(path)
    if content is None:
        return NONE
    lines = [
        _joined(
            "vectors", "V-measure", "chance", "AMI", "accuracy of a classifier", "neighbours of the same kind"
        ),
        _joined("---", *["---:"] * 5),
    ]
    for row in content["rows"]:
        cell = Cell.of([row])
        assert cell
        others = (cell.summary.chance, cell.summary.ami, row["accuracy"], row["neighbours"])
        lines.append(_joined(row["vectors"], _shown(cell, bold=False), *map(_percent, others)))
    return "\n".join(lines)


def calibration_table(path: Path) -> str:
    """How often equal models are found different, and how often a known gain is found."""
    if not path.exists():
        return NONE
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    heads = ("what is scored", "texts", "equal models found different", "half-width of the interval", "known gain",
             "gain found", "halves within two s.e.")  # fmt: skip
    lines = [_joined(*heads), _joined("---", *["---:"] * (len(heads) - 1))]
    for row in rows:
        halves = row.get("halves_within_two_standard_errors")
        lines.append(
            _joined(
                row["trial"],
                f"{row['n']:,}",
                f"{100 * row['equal_told_apart']:.1f} % of {row['comparisons']}",
                f"{100 * row['half_width']:.1f}",
                f"{100 * row['gain']:.1f}",
                f"{100 * row['gain_found']:.0f} %",
                "–" if halves is None else f"{100 * halves:.0f} % of {row['halves']}",
            )
        )
    comparisons = sum(row["comparisons"] for row in rows)
    errors = sum(row["equal_told_apart"] * row["comparisons"] for row in rows)
    share = 100 * errors / comparisons
    total = f"Over all {comparisons:,} comparisons of equal models, {share:.1f} % are found different."
    return "\n".join([*lines, "", total])


def _model(row: Row) -> str:
    how = " ".join(row[key] for key in ("template", "pooling") if row[key])
    return "<br>".join(part for part in (row["model"], how) if part)


def _runs(cells: Sequence[Cell | None]) -> str:
    most = max((cell.summary.seeds for cell in cells if cell), default=1)
    return f"<br>{most} training runs" if most > 1 else ""


def _level(cell: Cell, best: Cell) -> bool:
    """Whether a cell is the best of its row or not distinguishable from it."""
    return cell is best or compare(cell.scores, best.scores).verdict == "not distinguishable"


def _shown(cell: Cell, bold: bool) -> str:
    value = _percent(cell.summary.value)
    errors = [
        f" ± {_percent(error)}" for error in (cell.summary.draw_se, cell.summary.text_se) if error is not None
    ]
    return (f"**{value}**" if bold else value) + "".join(errors)


def _error_of_mean(cells: Sequence[Cell | None]) -> str:
    """Standard errors of a mean over independent data sets."""
    summaries = [cell.summary for cell in cells if cell]
    kinds: list[list[float | None]] = [
        [summary.draw_se for summary in summaries],
        [summary.text_se for summary in summaries],
    ]
    known = [[error for error in errors if error is not None] for errors in kinds]
    return "".join(
        f" ± {_percent(math.hypot(*errors) / len(errors))}"
        for errors in known
        if len(errors) == len(summaries)
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _joined(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
