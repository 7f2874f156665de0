"""What the survey leaves open: long texts, weights of words, one template for all tasks, size and number of pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from math import hypot
from pathlib import Path
from statistics import fmean
from typing import Any

from attention_tables import NONE
from table_lines import heading, line

_KINDS = ("dense", "words", "all words", "both")


def long_text_tables(path: Path) -> str:
    """V-measure × 100 ± standard error of each way to read a long text, and milliseconds per text."""
    lines = list[str]()
    for model, found in _read(path).items():
        scores = found["scores"]
        lines += [
            f"`{model}`, {found['texts']} texts, windows of {found['window']} tokens:",
            "",
            *heading("way", *(f"{length} tokens" for length in scores)),
        ]
        for way in next(iter(scores.values())):
            lines.append(line(way, *(_with_time(of_length.get(way)) for of_length in scores.values())))
        lines.append("")
    return "\n".join(lines).strip() or NONE


def _with_time(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    error = hypot(row["text_se"] or 0, row["draw_se"] or 0)
    return f"{100 * row['v_measure']:.1f} ± {100 * error:.1f}, {row['ms_per_text']:.1f} ms"


def sparse_tables(path: Path) -> str:
    """nDCG@10 × 100 of each kind of vectors by field and pooling, with the difference to dense ones."""
    rows, lines = _read(path), list[str]()
    for field in dict.fromkeys(row["field"] for row in rows):
        of_field = [row for row in rows if row["field"] == field]
        lines += [f"**{field}**", "", *heading("model and way", *_KINDS)]
        for (model, way), group in groupby(of_field, key=lambda row: (row["model"], row["way"])):
            kinds = {row["kind"]: row for row in group}
            name = "TF-IDF" if model == "tfidf" else f"`{model}`, {way}"
            lines.append(line(name, *(_found(kinds.get(kind)) for kind in _KINDS)))
        lines.append("")
    return "\n".join(lines).strip() or NONE


def _found(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    return " ".join(filter(None, (f"{100 * row['ndcg_at_10']:.1f}", _change(row["difference_to_dense"]))))


def one_template_tables(path: Path) -> str:
    """Each template in four tasks, × 100, by the mean of its scores as shares of the best ones."""
    lines = list[str]()
    for model, found in _read(path).items():
        scores: Mapping[str, Mapping[str, float]] = found["templates"]
        tasks = list(found["cost"])
        best = {task: scores[name][task] for task, name in found["best of each"].items()}
        shares = {name: fmean(row[task] / best[task] for task in tasks) for name, row in scores.items()}
        lines += [f"`{model}`, last token:", "", *heading("template", *tasks, "share of the best")]
        for name in sorted(scores, key=lambda name: -shares[name]):
            cells = [_bold(scores[name][task], scores[name][task] == best[task]) for task in tasks]
            shown = name.replace("|", "\\|")
            lines.append(line(f"`{shown}`", *cells, f"{100 * shares[name]:.1f} %"))
        lines.append("")
    return "\n".join(lines).strip() or NONE


def _bold(value: float, best: bool) -> str:
    return f"**{100 * value:.1f}**" if best else f"{100 * value:.1f}"


def size_tables(path: Path, axis: str) -> str:
    """Quality against the number of pairs or the size of the model: V-measure × 100 ± standard error."""
    lines = list[str]()
    for recipe, axes in _read(path).items():
        if axis not in axes:
            continue
        rows = axes[axis]["rows"]
        extra = ["parameters, millions", "before training"] if axis == "size" else []
        lines += [
            f"Recipe `{recipe}`, {axes[axis]['settings']['seeds']} training runs each:",
            "",
            *heading("run", *extra, "trained", "difference to the last row [95 %]"),
        ]
        for row in rows:
            facts = [f"{row['parameters'] / 1e6:.1f}", _with_error(row["before"])] if extra else []
            lines.append(line(row["name"], *facts, _with_error(row["mean"]), _change(row["difference"])))
        lines.append("")
    return "\n".join(lines).strip() or NONE


def _with_error(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return "diverged"
    error = hypot(summary["draw_se"], summary["text_se"] or 0)
    return f"{100 * summary['value']:.1f} ± {100 * error:.1f}"


def _change(difference: dict[str, Any] | None) -> str:
    if difference is None or difference["low"] is None:
        return ""
    shown = (
        f"{100 * difference['value']:+.1f} [{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
    )
    return f"({shown})" if difference["verdict"] == "not distinguishable" else f"**({shown})**"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
