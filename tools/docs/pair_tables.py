"""Tables about pairs: issues of public files of pairs, and which source is worth it."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

NONE = "Not measured in this version."


def issue_table(path: Path) -> str:
    """Rows are issues, columns are files: shares of the pairs that were checked."""
    if not path.exists():
        return NONE
    files: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    checks = files.values()
    lines = [_line("", *files), _line("---", *["---:"] * len(files))]
    lines.append(_line("positives in the file", *(f"{check['positives']:,}" for check in checks)))
    lines.append(_line("checked", *(f"{check['pairs']:,}" for check in checks)))
    names = [issue["name"] for issue in next(iter(checks))["issues"]]
    lines += [_line(name, *(_share(check, name) for check in checks)) for name in names]
    lines.append(
        _line("left after a fix", *(f"{1 - check['removed'] / check['pairs']:.1%}" for check in checks))
    )
    for key, title in (
        ("mean", "mean cosine of the sides"),
        ("unrelated_mean", "mean cosine of unrelated sides"),
        ("separation", "sides closer than unrelated ones"),
    ):
        lines.append(_line(title, *(f"{check['similarity'][key]:.2f}" for check in checks)))
    return "\n".join(lines)


def _share(check: dict[str, Any], name: str) -> str:
    count = next(issue["count"] for issue in check["issues"] if issue["name"] == name)
    return f"{count / check['pairs']:.1%}" if count else "0"


def source_table(path: Path, shorter: Path) -> str:
    """Sources by their mean score, with the mean after a shorter training; a column for each development set."""
    if not path.exists() or not shorter.exists():
        return NONE
    content, short = (json.loads(one.read_text(encoding="utf-8")) for one in (path, shorter))
    sets, rows, before = list(content["base"]), _by_source(content), _by_source(short)
    steps, fewer = (one["settings"]["steps"] for one in (content, short))
    lines = [
        _line("pairs", f"{steps} steps: mean", *sets, f"{fewer} steps: mean"),
        _line("---", *["---:"] * (2 + len(sets))),
    ]
    for name in sorted(rows, key=lambda one: -fmean(_means(rows[one]))):
        cells = [_cell([scores[one] for scores in rows[name]]) for one in sets]
        lines.append(_line(name, f"**{_cell(_means(rows[name]))}**", *cells, _cell(_means(before[name]))))
    base = [content["base"][one] for one in sets]
    untrained = [f"{100 * score:.1f}" for score in (fmean(base), *base, fmean(base))]
    lines.append(_line("before any training", *untrained))
    trials, pairs = len(next(iter(rows.values()))), content["settings"]["batch_pairs"]
    about = f"V-measure × 100, mean ± standard deviation over {trials} trainings with {pairs} pairs a step."
    return about + "\n\n" + "\n".join(lines)


def again_table(path: Path, first: int = 3) -> str:
    """The best of many beside the recipe's own pairs: the seeds that made it the best, and others."""
    if not path.exists():
        return NONE
    content = json.loads(path.read_text(encoding="utf-8"))
    lines = [_line("pairs", f"the first {first} seeds", "other seeds"), _line("---", "---:", "---:")]
    for name, trainings in _by_source(content).items():
        means = _means(trainings)
        lines.append(_line(name, _cell(means[:first]), _cell(means[first:])))
    return "\n".join(lines)


def _by_source(content: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Source → the scores of each training."""
    trials = content["trials"]
    return {
        name: [trial["scores"] for trial in trials if trial["source"] == name]
        for name in dict.fromkeys(trial["source"] for trial in trials)
    }


def _means(trainings: list[dict[str, float]]) -> list[float]:
    return [fmean(scores.values()) for scores in trainings]


def _cell(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
