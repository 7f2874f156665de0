"""Tables of adapting: what each setting and source of pairs is worth, and what `lastword adapt` brings on corpora."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from attention_tables import NONE
from table_lines import line


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
    lines = [line("run", "mean", *sets), line("---", *["---:"] * (1 + len(sets)))]
    for name, (mean, scores) in sorted(rows.items(), key=lambda item: -item[1][0]):
        shown = f"**{name}**" if name in content["baselines"] else name
        lines.append(line(shown, f"{mean:.1f}", *(f"{scores[data]:.1f}" for data in sets)))
    return "\n".join(lines)


def adapt_table(path: Path) -> str:
    """V-measure × 100 on texts of each corpus that training has not seen."""
    if not path.exists():
        return NONE
    kinds = {"adapted": "adapted", "unadapted": "before", "tfidf": "TF-IDF", "other": "all-MiniLM-L6-v2"}
    lines = [
        line("corpus", "model", *kinds.values(), "adapted minus the best setting before"),
        line("---", "---", *["---:"] * len(kinds), "---:"),
    ]
    for key, run in json.loads(path.read_text(encoding="utf-8"))["runs"].items():
        corpus, model, way = key.split()
        scores = {row["kind"]: f"{row['v_measure']:.1f}" for row in run["models"]}
        gain = run["gain"]
        shown = f"{100 * gain['value']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
        name = corpus if way == "texts" else f"{corpus}, with labels"
        lines.append(line(name, model, *(scores.get(kind, "") for kind in kinds), shown))
    return "\n".join(lines)
