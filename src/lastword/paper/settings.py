"""Table 7: the settings of a training, one changed at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lastword.config import read_recipe
from lastword.experiments import Comparison, sweep
from lastword.experiments.combinations import UNCHANGED, shown
from lastword.paper.cells import Laboratory
from lastword.paper.figures import figures
from lastword.paper.report import Page, Record, as_list, line

NAMES = {"batch_size": "batch_pairs"}
"""The paper's name of a setting → ours."""


def settings_page(laboratory: Laboratory) -> Page:
    """Train with every value of every setting, and say which are level with the best."""
    facts, scale = figures()["table7"], laboratory.scale
    (model,) = list(scale.models.values())[:1]
    whole = _swept(laboratory, model)
    parts, records, found = [], [], {}
    for setting in (one for one in scale.sweep if one not in scale.settings):
        swept = found[setting] = _of_one(setting, whole)
        parts.append(_section(setting, swept, scale.recipe, facts))
        records += _records(setting, swept)
    notes = [
        f"Model: {model}. Development texts: {' and '.join(whole.base)}. "
        f"{scale.seeds} trainings of each value; ± is the spread over them.",
        facts["note"],
    ]
    body = "\n\n".join([*parts, as_list(notes)])
    plain = {"told": notes, "sweeps": {setting: one.to_dict() for setting, one in found.items()}}
    return Page("table7", facts["title"], body, records, plain)


def _swept(laboratory: Laboratory, model: str) -> Comparison:
    """The recipe and every value alone; what the user has fixed is not varied."""
    series, scale = laboratory.series, laboratory.scale
    fixed = {"model": [model], **{key: [value] for key, value in scale.settings.items()}}

    def work() -> dict[str, Any]:
        return sweep(
            scale.recipe, series.partial / "sweep", values={**scale.sweep, **fixed}, one_at_a_time=True,
            seeds=scale.seeds, resume=True, device=laboratory.device,
        ).to_dict()  # fmt: skip

    found = series.once("table7", work)
    return Comparison.from_dict(found)


def _of_one(setting: str, whole: Comparison) -> Comparison:
    """The trainings in which one setting differs, and those with the recipe's own value of it."""
    own = f"{setting}={shown(whole.settings[setting])}"
    named = [replace(run, name=own) if run.name == UNCHANGED else run for run in whole.runs]
    runs = tuple(run for run in named if run.name.startswith(f"{setting}="))
    return replace(whole, runs=runs)


def _section(setting: str, found: Comparison, recipe: str, facts: dict[str, Any]) -> str:
    published = next((key for key, ours in NAMES.items() if ours == setting), setting)
    tried = ", ".join(f"{value:g}" for value in facts["tried"][published])
    own = read_recipe(recipe).get(setting)
    lines = [line(setting, "score", ""), line("---", "---:", "---")]
    for name in found.ranked:
        summary = found.summary(name)
        score = f"{100 * summary.value:.1f} ± {100 * summary.draw_se:.1f}" if summary else "–"
        lines.append(line(name.partition("=")[2], score, found.standing(name)))
    kept = f"{facts['kept'][published]:g}"
    heading = f"**{setting}**: the paper tried {tried} and kept {kept}"
    heading += f"; the recipe `{recipe}` has {own}." if own is not None else "."
    return "\n\n".join([heading, "\n".join(lines)])


def _records(setting: str, found: Comparison) -> list[Record]:
    rows = []
    for name in found.ranked:
        summary = found.summary(name)
        rows.append({
            "table": "table7", "model": found.settings["model"], "row": setting, "column": name.partition("=")[2],
            "score": round(100 * summary.value, 2) if summary else None,
            "band": round(100 * summary.draw_se, 2) if summary else None,
            "seeds": summary.seeds if summary else 0,
        })  # fmt: skip
    return rows
