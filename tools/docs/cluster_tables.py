"""Tables of grouping: how far rules for the number of groups are from the number of labels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean
from typing import Any

from attention_tables import NONE
from table_lines import line


def rule_table(path: Path) -> str:
    """A line for each rule, over all sets and models, the nearest first."""
    if not path.exists():
        return NONE
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    lines = []
    for rule in rows[0]["chosen"]:
        chosen = [row["chosen"][rule] for row in rows]
        factors = [abs(math.log(number / row["labels"])) for number, row in zip(chosen, rows, strict=True)]
        lost = fmean(_lost(row, number) for number, row in zip(chosen, rows, strict=True))
        factor = math.exp(fmean(factors))
        lines.append(
            (factor, f"| {rule} | {factor:.1f} | {min(chosen)} to {max(chosen)} | {100 * lost:.1f} |")
        )
    sets = sorted({(row["labels"], row["data"]) for row in rows})
    head = (
        f"{len(sets)} sets with {sets[0][0]} to {sets[-1][0]} labels, vectors of "
        f"{' and '.join(dict.fromkeys(row['model'] for row in rows))}:"
    )
    heads = "| rule | off by a factor of | groups chosen | AMI × 100 lost against the best number |"
    return "\n".join([head, "", heads, "| --- | ---: | ---: | ---: |", *(line for _, line in sorted(lines))])


def components_table(path: Path) -> str:
    """A line for each number of components, a column for each model: AMI × 100, mean over the sets."""
    if not path.exists():
        return NONE
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    models, counts = (list(dict.fromkeys(row[name] for row in rows)) for name in ("model", "components"))
    cells = {(row["model"], row["components"]): _component_cell(row) for row in rows}
    lines = [f"| components | {' | '.join(models)} |", f"| ---: |{' ---: |' * len(models)}"]
    lines += [
        f"| {count or 'all'} | {' | '.join(cells[model, count] for model in models)} |" for count in counts
    ]
    return "\n".join(lines)


def _component_cell(row: dict[str, Any]) -> str:
    """The mean, and how far that is above whole vectors."""
    mean, difference = f"{fmean(row['ami'].values()):.1f}", row["difference"]
    if not difference:
        return mean
    return f"{mean} ({difference['value']:+.1f} [{difference['low']:+.1f}, {difference['high']:+.1f}])"


def _lost(row: dict[str, Any], number: int) -> float:
    ami = {each["groups"]: each["ami"] for each in row["tried"]}
    lost: float = max(ami.values()) - ami[number]
    return lost


def names_table(path: Path) -> str:
    """Per cent of the names of each way that are nearer to their group's label than to all others."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    found = {(row["data"], row["model"], row["way"]): f"{100 * row['nearest_label']:.0f} %" for row in rows}
    groups = {row["data"]: row["groups"] for row in rows}
    models = list(dict.fromkeys(row["model"] for row in sorted(rows, key=lambda row: row["model"] == "mini")))
    lines = [
        line(
            "texts (labels)",
            "terms",
            *(cell for model in models for cell in (f"head of `{model}`", "joined")),
        ),
        line("---", "---:", *["---:"] * (2 * len(models))),
    ]
    for data, count in groups.items():
        terms = next(found[data, model, "terms"] for model in models if (data, model, "terms") in found)
        others = [found.get((data, model, way), "") for model in models for way in ("head", "joined")]
        lines.append(line(f"{data} ({count})", terms, *others))
    return "\n".join(lines)
