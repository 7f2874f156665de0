"""Tables of measured scores, from a file in `results/`.

It is JSON: an object with rows under "rows" and a sentence under "about". A row has dataset, task, metric,
model, template, pooling, score and std (0 … 1) and n; rows that differ in nothing but the score are
several trainings. Every task becomes a table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """Mean over trainings, and a band that joins the variance over them with the mean variance within them."""

    score: float
    band: float
    trainings: int
    n: int

    @classmethod
    def of(cls, rows: list[Row]) -> Cell | None:
        if not rows:
            return None
        scores = [row["score"] for row in rows]
        between = variance(scores) if len(scores) > 1 else 0.0
        within = fmean((row.get("std") or 0.0) ** 2 for row in rows)
        return cls(fmean(scores), (between + within) ** 0.5, len(rows), rows[0]["n"])


def score_table(path: Path) -> str:
    """The tables of one file; a line that says so where there is none."""
    if not path.exists():
        return "No measured scores are stored in this version."
    content = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Row] = content["rows"]
    parts = [content["about"]]
    for task, metric in dict.fromkeys((row["task"], row["metric"]) for row in rows):
        own = [row for row in rows if (row["task"], row["metric"]) == (task, metric)]
        title = f"### {task.capitalize()}: {metric.replace('_', '-')} × 100, mean ± standard deviation"
        parts += [title, _table(own)]
    return "\n\n".join(parts)


def known_table(path: Path) -> str:
    """What the vectors of each model know about the products; a line that says so where there is no file."""
    if not path.exists():
        return "Not measured in this version."
    content = json.loads(path.read_text(encoding="utf-8"))
    lines = [_joined("vectors", "V-measure", "accuracy of a classifier", "neighbours of the same kind")]
    lines.append(_joined("---", *["---:"] * 3))
    lines += [
        _joined(row["vectors"], *(f"{100 * row[key]:.1f}" for key in ("v_measure", "accuracy", "neighbours")))
        for row in content["rows"]
    ]
    return "\n".join(lines)


def _table(rows: list[Row]) -> str:
    """Rows are data sets, columns are models; the best of a row is bold."""
    variants = list(dict.fromkeys(_variant(row) for row in rows))
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    lines: list[str] = []
    columns: dict[str, list[Cell | None]] = {variant: [] for variant in variants}
    for dataset in datasets:
        own = [row for row in rows if row["dataset"] == dataset]
        cells = {variant: Cell.of([row for row in own if _variant(row) == variant]) for variant in variants}
        for variant, cell in cells.items():
            columns[variant].append(cell)
        best = max(cell.score for cell in cells.values() if cell)
        n = next(cell.n for cell in cells.values() if cell)
        lines.append(_joined(f"{dataset} ({n:,})", *(_shown(cell, best) for cell in cells.values())))
    means = [_mean(cells) for cells in columns.values()]
    best_mean = max((mean for mean in means if mean is not None), default=None)
    heads = [variant + _trainings(cells) for variant, cells in columns.items()]
    return "\n".join([
        _joined("data (texts)", *heads),
        _joined("---", *["---:"] * len(variants)),
        *lines,
        _joined("mean", *(_bold(mean, best_mean) for mean in means)),
    ])  # fmt: skip


def _variant(row: Row) -> str:
    how = " ".join(str(row[key]) for key in ("template", "pooling") if row.get(key))
    return f"{row['model']}<br>{how}" if how else str(row["model"])


def _trainings(cells: list[Cell | None]) -> str:
    most = max(cell.trainings for cell in cells if cell)
    return f"<br>{most} trainings" if most > 1 else ""


def _shown(cell: Cell | None, best: float) -> str:
    return f"{_bold(cell.score, best)} ± {100 * cell.band:.1f}" if cell else "–"


def _bold(value: float | None, best: float | None) -> str:
    if value is None:
        return "–"
    shown = f"{100 * value:.1f}"
    return f"**{shown}**" if value == best else shown


def _mean(cells: list[Cell | None]) -> float | None:
    """Mean over all data sets; none where a score is missing, since such means do not compare."""
    scores = [cell.score for cell in cells if cell]
    return fmean(scores) if len(scores) == len(cells) else None


def _joined(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
