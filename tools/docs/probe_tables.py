"""Tables about templates, poolings and layers: results of the probe of public sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import fmean
from typing import Any

NONE = "Not measured in this version."
Answers = dict[str, Any]


def _of_answers(table: Callable[[Answers], str]) -> Callable[[Path], str]:
    """A table of the answers in a file, or a note that there is no file."""

    @wraps(table)
    def of_file(path: Path) -> str:
        if not path.exists():
            return NONE
        return table(json.loads(path.read_text(encoding="utf-8"))["answers"])

    return of_file


@_of_answers
def template_table(answers: Answers) -> str:
    """Rows are templates, columns are poolings, over the last layer; the best of a column is bold."""
    rows: dict[str, dict[str, float]] = answers["templates"]
    poolings = list(next(iter(rows.values())))
    best = {pooling: max(row[pooling] for row in rows.values()) for pooling in poolings}
    table = _table(
        ["template", *poolings],
        [[name, *(_bold(row[p], row[p] == best[p]) for p in poolings)] for name, row in rows.items()],
    )
    return (
        f"{table}\n\nThe draws of k-means give each of these means a standard error of about "
        f"{100 * answers['draw_se']:.1f}; other texts or sets would change them by more."
    )


@_of_answers
def layer_table(answers: Answers) -> str:
    """Rows are template and pooling, columns are layers; the best of a row is bold."""
    rows: dict[str, list[float]] = answers["layers"]
    return _table(
        ["template and pooling", *map(str, range(answers["last_layer"] + 1))],
        [[name, *(_bold(value, value == max(row)) for value in row)] for name, row in rows.items()],
    )


@_of_answers
def best_table(answers: Answers) -> str:
    """The options with the highest mean over the sets."""
    return _table(
        ["template", "pooling", "layer", "mean V-measure"],
        [[template, pooling, str(layer), f"{100 * score:.1f}"] for template, pooling, layer, score in answers["best"]],
    )  # fmt: skip


@_of_answers
def set_table(answers: Answers) -> str:
    """For each set its best option, and what fixed choices get."""
    head = [
        "set",
        "best option",
        "its V-measure ± s.e. of draws",
        "chance",
        "not distinguishable from it",
        "median",
    ]
    return _table(
        [*head, "none, mean, last layer", "ccw, lasttoken, last layer"],
        [
            [
                name, ", ".join([*one["best"][:2], f"layer {one['best'][2]}"]),
                f"{100 * one['best_score']:.1f} ± {100 * one['draw_se']:.1f}",
                "–" if one["chance"] is None else f"{100 * one['chance']:.1f}",
                "–" if one["compared"] is None else f"{one['indistinguishable'] - 1} of the next {one['compared'] - 1}",
                *(f"{100 * one[key]:.1f}" for key in ("median", "none mean", "ccw lasttoken")),
            ]
            for name, one in answers["sets"].items()
        ],
    )  # fmt: skip


@_of_answers
def label_free_table(answers: Answers) -> str:
    """Rows are scores, columns are sets: ρ with V-measure, and the V-measure of the option ranked first."""
    sets = list(answers["sets"])
    parts = []
    for scope, scores in answers["label_free"].items():
        rho = {name: [one["correlations"][s] or 0.0 for s in sets] for name, one in scores.items()}
        picks = {name: [one["picks"][s] for s in sets] for name, one in scores.items()}
        middle = "median" if scope == "all layers" else "median of the last layer"
        picks |= {
            "*(the best option)*": list(next(iter(scores.values()))["best"].values()),
            "*(the median option)*": [answers["sets"][s][middle] for s in sets],
            "*(none, mean, last layer)*": [answers["sets"][s]["none mean"] for s in sets],
        }
        parts += [
            _table(
                [f"ρ with V-measure, {scope}", "mean", *sets],
                [[n, f"**{fmean(v):+.2f}**", *(f"{x:+.2f}" for x in v)] for n, v in _ordered(rho)],
            ),
            _table(
                [f"V-measure of the option ranked first, {scope}", "mean", *sets],
                [
                    [n, f"**{100 * fmean(v):.1f}**", *(f"{100 * x:.1f}" for x in v)]
                    for n, v in _ordered(picks)
                ],
            ),
        ]
    return "\n\n".join(parts)


def _ordered(rows: dict[str, list[float]]) -> list[tuple[str, list[float]]]:
    return sorted(rows.items(), key=lambda row: -fmean(row[1]))


def _bold(value: float, best: bool) -> str:
    return f"**{100 * value:.1f}**" if best else f"{100 * value:.1f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
