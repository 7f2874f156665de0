"""Tables about pairs: issues of public files of pairs, and which source is better."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from table_lines import line

from lastword.experiments import Comparison

NONE = "Not measured in this version."


def issue_table(path: Path) -> str:
    """Rows are issues, columns are files: shares of the pairs that were checked."""
    if not path.exists():
        return NONE
    files: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    checks = files.values()
    lines = [line("", *files), line("---", *["---:"] * len(files))]
    lines.append(line("positives in the file", *(f"{check['positives']:,}" for check in checks)))
    lines.append(line("checked", *(f"{check['pairs']:,}" for check in checks)))
    names = [issue["name"] for issue in next(iter(checks))["issues"]]
    lines += [line(name, *(_share(check, name) for check in checks)) for name in names]
    lines.append(
        line("left after a fix", *(f"{1 - check['removed'] / check['pairs']:.1%}" for check in checks))
    )
    for key, title in (
        ("mean", "mean cosine of the sides"),
        ("unrelated_mean", "mean cosine of unrelated sides"),
        ("separation", "sides closer than unrelated ones"),
    ):
        lines.append(line(title, *(f"{check['similarity'][key]:.2f}" for check in checks)))
    return "\n".join(lines)


def language_table(path: Path) -> str:
    """How many pairs of each kind are reported as different languages."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    lines = [line("pairs", "number", "reported", "mean confidence"), line("---", "---:", "---:", "---:")]
    lines += [
        line(row["kind"], f"{row['pairs']:,}", f"{row['flagged']:.1%}", f"{row['mean_confidence']:.3f}")
        for row in rows
    ]
    return "\n".join(lines)


def _share(check: dict[str, Any], name: str) -> str:
    count = next(issue["count"] for issue in check["issues"] if issue["name"] == name)
    return f"{count / check['pairs']:.1%}" if count else "0"


_ERRORS = "standard error (seeds, draws of k-means); differences to the best with a 95 % interval"


def comparison_table(path: Path) -> str:
    """What a series of training runs compares, by the mean score; a column for each development set."""
    if not path.exists():
        return NONE
    comparison = Comparison.from_dict(json.loads(path.read_text(encoding="utf-8")))
    sets = list(comparison.base)
    lines = [
        line(comparison.subject, "mean", "to the best", *sets),
        line("---", *["---:"] * (2 + len(sets))),
    ]
    best = comparison.ranked[0]
    for name in comparison.ranked:
        values = [_mean_of_set(comparison, name, one) for one in sets]
        interval = "" if name == best else _interval(comparison, name, best)
        lines.append(line(name, f"**{_mean(comparison, name)}**", interval, *values))
    base, chance = comparison.base.values(), [score.chance or 0.0 for score in comparison.base.values()]
    values = [100 * score.value for score in base]
    lines.append(line("before training", f"{fmean(values):.1f}", "", *(f"{x:.1f}" for x in values)))
    lines.append(line("chance", f"{100 * fmean(chance):.1f}", "", *(f"{100 * x:.1f}" for x in chance)))
    runs, pairs = len(comparison.runs_of(best)), comparison.settings["batch_pairs"]
    about = (
        f"V-measure × 100, {f'mean over {runs} training runs' if runs > 1 else 'one training run'} of "
        f"{comparison.settings['steps']} steps of {pairs} pairs"
        + (
            " ± standard error (seeds, draws of k-means); differences to the best with a 95 % interval."
            if runs > 1
            else "."
        )
    )
    return about + "\n\n" + "\n".join(lines)


def _mean(comparison: Comparison, name: str) -> str:
    summary = comparison.summary(name)
    if summary is None:
        return "–"
    error = f" ± {100 * summary.draw_se:.1f}" if summary.seeds > 1 else ""
    return f"{100 * summary.value:.1f}{error}"


def _interval(comparison: Comparison, name: str, best: str) -> str:
    difference = comparison.difference(name, best)
    if difference is None:
        return ""
    return f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def _mean_of_set(comparison: Comparison, name: str, one: str) -> str:
    return f"{100 * fmean(run.scores[one].value for run in comparison.runs_of(name) if run.scores):.1f}"
