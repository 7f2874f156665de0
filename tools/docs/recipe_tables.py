"""The table of the recipe search: what each setting and each source of pairs is worth."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any


def recipe_table(path: Path) -> str:
    """Rows by their mean score, baselines among them; a column for each development set."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = {name: (fmean(scores.values()), scores) for name, scores in content["baselines"].items()}
    for row in content["rows"]:
        name = row["name"] if not row["seed"] else f"{row['name']}, second seed"
        rows[name] = (fmean(row["scores"].values()), row["scores"])
        rows |= {
            f"{name}, {after}": (fmean(scores.values()), scores) for after, scores in row["after"].items()
        }
    sets = list(next(iter(rows.values()))[1])
    lines = [_line("run", "mean", *sets), _line("---", *["---:"] * (1 + len(sets)))]
    for name, (mean, scores) in sorted(rows.items(), key=lambda item: -item[1][0]):
        shown = f"**{name}**" if name in content["baselines"] else name
        lines.append(_line(shown, f"{mean:.1f}", *(f"{scores[data]:.1f}" for data in sets)))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
