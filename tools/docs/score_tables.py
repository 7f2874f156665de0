"""Tables of measured scores, from the files in `results/`.

A file there is a JSON list of rows with dataset, task, metric, model, template, pooling, score and std
(0 … 1) and n. Every file becomes a section, every task in it a table. `score_tables` is the only
function that `generate.py` calls: results of another form get their own function here, called there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def score_tables(folder: Path) -> str:
    """One section for each `results/*.json`; a line that says so where there is none."""
    files = sorted(folder.glob("*.json"))
    if not files:
        return "No measured scores are stored in this version."
    return "\n\n".join(_section(path) for path in files)


def _section(path: Path) -> str:
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
    tasks = list(dict.fromkeys((row["task"], row["metric"]) for row in rows))
    parts = [f"## {path.stem.replace('_', ' ').capitalize()}"]
    for task, metric in tasks:
        own = [row for row in rows if (row["task"], row["metric"]) == (task, metric)]
        title = f"### {task.capitalize()}: {metric.replace('_', '-')} × 100, mean ± standard deviation"
        parts += [title, _table(own)]
    return "\n\n".join(parts)


def _table(rows: list[Row]) -> str:
    """Rows are data sets, columns are models; the best of a row is bold."""
    variants = list(dict.fromkeys(_variant(row) for row in rows))
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    cell = {(row["dataset"], _variant(row)): row for row in rows}
    lines = [_joined("data (texts)", *variants), _joined("---", *["---:"] * len(variants))]
    for dataset in datasets:
        scores = [cell.get((dataset, variant)) for variant in variants]
        n = next(row["n"] for row in scores if row)
        best = max(row["score"] for row in scores if row)
        lines.append(_joined(f"{dataset} ({n:,})", *(_score(row, best) for row in scores)))
    means = [_mean([cell.get((dataset, variant)) for dataset in datasets]) for variant in variants]
    best_mean = max((mean for mean in means if mean is not None), default=None)
    lines.append(_joined("mean", *(_bold(mean, best_mean) for mean in means)))
    return "\n".join(lines)


def _variant(row: Row) -> str:
    how = " ".join(str(row[key]) for key in ("template", "pooling") if row.get(key))
    return f"{row['model']}<br>{how}" if how else str(row["model"])


def _score(row: Row | None, best: float) -> str:
    if row is None:
        return "–"
    band = f" ± {100 * row['std']:.1f}" if row.get("std") is not None else ""
    return _bold(row["score"], best) + band


def _bold(value: float | None, best: float | None) -> str:
    if value is None:
        return "–"
    shown = f"{100 * value:.1f}"
    return f"**{shown}**" if value == best else shown


def _mean(rows: list[Row | None]) -> float | None:
    """Mean over all data sets; none where a score is missing, since such means do not compare."""
    scores = [row["score"] for row in rows if row]
    return sum(scores) / len(scores) if len(scores) == len(rows) else None


def _joined(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
