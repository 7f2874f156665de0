"""Strategies by group: source, code, when to use each, and what it gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from table_lines import line

from lastword.experiments.catalogue import GROUPS, Strategy, read_strategies
from lastword.experiments.strategy_result import BASE, TRAINED_BASE

_TITLES = {
    "prompt": "Prompts", "pooling": "Pooling", "layer": "Layers", "attention": "Attention",
    "training": "Training", "data": "Pairs", "vectors": "Vectors",
}  # fmt: skip


def strategy_tables(path: Path) -> str:
    """A table for each group, with the difference to the base on each model that was measured."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = {model: {row["name"]: row for row in found["rows"]} for model, found in content.items()}
    lines = [_bases(rows)] if rows else []
    for group in GROUPS:
        strategies = [each for each in read_strategies().values() if each.group == group]
        if strategies:
            lines += ["", f"### {_TITLES[group]}", "", *_table(strategies, rows)]
    return "\n".join(lines)


def _bases(rows: dict[str, dict[str, Any]]) -> str:
    shown = [
        f"{model} {name} {100 * found[name]['mean']:.1f}"
        for model, found in rows.items() for name in (BASE, TRAINED_BASE) if name in found
    ]  # fmt: skip
    return f"Mean V-measure × 100 of the bases: {', '.join(shown)}."


def _table(strategies: list[Strategy], rows: dict[str, dict[str, Any]]) -> list[str]:
    heading = ["strategy", "settings", "source", "code", "when", *rows]
    lines = [line(*heading), line(*["---"] * 5, *["---:"] * len(rows))]
    for each in strategies:
        settings = ", ".join(f"{key}={_shown(value)}" for key, value in each.settings.items())
        gains = [_gain(found.get(each.name)) for found in rows.values()]
        lines.append(
            line(each.name, f"`{settings}`", each.source or "–", f"`{each.code}`", each.when, *gains)
        )
    return lines


def _shown(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _gain(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    gain = row["difference"]
    if gain is None or gain["low"] is None:
        return str(row["verdict"])
    mark = "**" if gain["verdict"] != "not distinguishable" else ""
    return f"{mark}{100 * gain['value']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]{mark}"
