"""Tables about pairs: what the doctor finds in public ones, and which source is worth it."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

NONE = "Not measured in this version."


def findings_tables(path: Path) -> str:
    """Rows are findings, columns are files: the share of the pairs that were looked at."""
    if not path.exists():
        return NONE
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    lines = [_line("", *found), _line("---", *["---:"] * len(found))]
    lines.append(_line("positives in the file", *(f"{one['positives']:,}" for one in found.values())))
    lines.append(_line("looked at", *(f"{one['pairs']:,}" for one in found.values())))
    names = [finding["name"] for finding in next(iter(found.values()))["findings"]]
    lines += [_line(name, *(_share(one, name) for one in found.values())) for name in names]
    lines.append(
        _line("left by a fix", *(f"{1 - one['left_out'] / one['pairs']:.1%}" for one in found.values()))
    )
    for key, title in (
        ("mean", "mean cosine of the sides"),
        ("unrelated_mean", "mean cosine of unrelated sides"),
        ("separation", "sides closer than unrelated ones"),
    ):
        lines.append(_line(title, *(f"{one['similarity'][key]:.2f}" for one in found.values())))
    return "\n".join(lines)


def _share(one: dict[str, Any], name: str) -> str:
    count = next(finding["count"] for finding in one["findings"] if finding["name"] == name)
    return f"{count / one['pairs']:.1%}" if count else "0"


def source_table(path: Path) -> str:
    """Sources by their mean score; one column for each development set."""
    if not path.exists():
        return NONE
    content = json.loads(path.read_text(encoding="utf-8"))
    sets = list(content["base"])
    rows = {
        name: [trial["scores"] for trial in content["trials"] if trial["source"] == name]
        for name in dict.fromkeys(trial["source"] for trial in content["trials"])
    }
    means = {name: [fmean(scores.values()) for scores in trials] for name, trials in rows.items()}
    lines = [_line("pairs", "mean", *sets), _line("---", *["---:"] * (1 + len(sets)))]
    for name in sorted(rows, key=lambda one: -fmean(means[one])):
        cells = [_cell([scores[one] for scores in rows[name]]) for one in sets]
        lines.append(_line(name, f"**{_cell(means[name])}**", *cells))
    base = content["base"]
    lines.append(
        _line(
            "before any training",
            f"{100 * fmean(base.values()):.1f}",
            *(f"{100 * base[one]:.1f}" for one in sets),
        )
    )
    settings, trials = content["settings"], len(next(iter(rows.values())))
    budget = f"{settings['steps']} steps of {settings['batch_pairs']} pairs"
    return f"V-measure × 100, mean ± standard deviation over {trials} trainings of {budget}.\n\n" + "\n".join(
        lines
    )


def _cell(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
