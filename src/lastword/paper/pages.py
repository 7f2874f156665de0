"""The pages of the tables that are no grid of rows and poolings: Table 7, Table 8 and the paper's recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from lastword.config import read_recipe
from lastword.experiments import Comparison, sweep
from lastword.experiments.combinations import UNCHANGED, shown
from lastword.paper.cells import Cell, CellRunner, Row
from lastword.paper.report import (
    Page,
    Record,
    bullet_list,
    markdown_table,
    score_columns,
    summary_record,
    with_error,
)
from lastword.paper.suites import Suite
from lastword.paper.tables import published
from lastword.report.table import percent, with_interval
from lastword.uncertainty import compare

PAPER_NAMES = {"batch_pairs": "batch_size"}
"""Our name of a setting → the paper's, where it has another."""
ADAPTED = Row.parse("CCW + wiki-prompt")
"""What Table 8 compares with other models."""
PAPER_RECIPE = "trained by the paper's recipe"
RECIPE_SETTINGS = (
    "steps", "batch_pairs", "temperature", "learning_rate", "warmup_steps", "schedule", "rank", "alpha", "dropout",
    "max_tokens",
)  # fmt: skip


def settings_page(runner: CellRunner) -> Page:
    """Table 7: train with every value of every setting; which are distinguishable from the best?"""
    paper, scale = published()["table7"], runner.scale
    model = next(iter(scale.models.values()))
    comparison = _sweep(runner, model)
    parts, records = [], list[Record]()
    for setting in (name for name in scale.sweep if name not in scale.settings):
        part = _one_setting(setting, comparison)
        parts.append(_setting_section(setting, part, scale.recipe, paper))
        records += [
            {
                "table": "table7", "model": model, "row": setting, "column": name.partition("=")[2],
                **summary_record(part.summary(name)),
            }
            for name in part.ranked
        ]  # fmt: skip
    notes = [
        f"Model: {model}. Development texts: {' and '.join(comparison.base)}. Training runs of each value: "
        f"{scale.seeds}. The checkpoint of each run was chosen on the same texts.",
        paper["note"],
    ]
    body = "\n\n".join([*parts, bullet_list(notes)])
    return Page("table7", paper["title"], body, records, {"notes": notes})


def _sweep(runner: CellRunner, model: str) -> Comparison:
    """The recipe and every other value alone; settings that the user fixed are not varied."""
    folder, scale = runner.folder, runner.scale
    fixed = {"model": [model], **{key: [value] for key, value in scale.settings.items()}}

    def work() -> dict[str, Any]:
        output = folder.partial / "sweep"
        if not output.exists():  # otherwise it was interrupted after its last training run
            sweep(
                scale.recipe, output, values={**scale.sweep, **fixed}, one_at_a_time=True, seeds=scale.seeds,
                resume=True, device=runner.device,
            )  # fmt: skip
        content: dict[str, Any] = json.loads((output / "sweep.json").read_text(encoding="utf-8"))
        return content

    return Comparison.from_dict(folder.once("table7", work))


def _one_setting(setting: str, comparison: Comparison) -> Comparison:
    """The runs in which one setting differs from the recipe, and those with the recipe's own value of it."""
    unchanged = f"{setting}={shown(comparison.settings[setting])}"
    runs = [replace(run, name=unchanged) if run.name == UNCHANGED else run for run in comparison.runs]
    return replace(comparison, runs=[run for run in runs if run.name.startswith(f"{setting}=")])


def _setting_section(setting: str, comparison: Comparison, recipe: str, paper: dict[str, Any]) -> str:
    name_in_paper = PAPER_NAMES.get(setting, setting)
    tried = ", ".join(f"{value:g}" for value in paper["tried"][name_in_paper])
    own = read_recipe(recipe).get(setting)
    heading = f"**{setting}**: the paper tried {tried} and chose {paper['chosen'][name_in_paper]:g}"
    heading += f"; the recipe `{recipe}` has {own}." if own is not None else "."
    rows = [[setting, "V-measure", "AMI", "difference to the best [95 %]", ""]]
    for name in comparison.ranked:
        summary, best = comparison.summary(name), comparison.ranked[0]
        difference = None if name == best else comparison.difference(name, best)
        rows.append([
            name.partition("=")[2], with_error(summary) if summary else "–",
            percent(summary.ami if summary else None), with_interval(difference, missing=""),
            comparison.standing(name),
        ])  # fmt: skip
    return "\n\n".join([heading, markdown_table(rows, text_columns=(0, 4))])


def tasks_page(runner: CellRunner, suite: Suite, tasks: list[str], peers: list[str]) -> Page:
    """Table 8: the adapted model on some tasks of a suite, beside the paper's figures and other models."""
    paper = published()["table8"]
    ours: dict[str, Cell] = {}
    for name, model in list(runner.scale.models.items())[:1]:
        for column in paper["columns"]:
            cell = runner.cell(model, ADAPTED, column, suite)
            assert cell is not None  # there always are pairs of wiki-prompt
            ours[f"{name}, {column}"] = cell.only(tasks)
    others = {peer: runner.peer(peer, suite).only(tasks) for peer in peers}
    cells = {**ours, **others}
    notes = [
        f"Scored on {suite.description}. Trained on: {runner.pairs.describe('wiki-prompt')}.",
        paper["note"],
    ]
    missing = [task for task in tasks if task not in next(iter(ours.values())).tasks]
    if missing:
        notes.insert(1, f"Missing, and in no average: {', '.join(missing)}.")
    parts = [_published_tasks(), _measured_tasks(cells, tasks)]
    parts += [_against_peers(ours, others)] if others else []
    facts = {
        "notes": notes,
        "averages": {name: summary_record(cell.summary) for name, cell in cells.items()},
    }
    body = "\n\n".join([*parts, bullet_list(notes)])
    records = [
        {"table": "table8", "model": name, "row": task, "column": "", **summary_record(summary)}
        for name, cell in cells.items()
        for task, summary in cell.tasks.items()
    ]
    return Page("table8", paper["title"], body, records, facts)


def _published_tasks() -> str:
    """The paper's table, with a column for its baseline on the English subsets."""
    paper = published()["table8"]
    (model, tasks), baseline = next(iter(paper["published"].items())), paper["baseline"]
    columns = [f"{model}, {column}" for column in paper["columns"]]
    columns += [f"{paper['peer']}, as printed", f"{paper['peer']}, English"]
    figures = {task: [*own, *baseline[task]] for task, own in tasks.items()}
    figures["**average**"] = [fmean(column) for column in zip(*figures.values(), strict=True)]
    rows = [[task, *(f"{figure:.2f}" for figure in row)] for task, row in figures.items()]
    return markdown_table([["the paper's figures", *columns], *rows])


def _measured_tasks(cells: Mapping[str, Cell], tasks: list[str]) -> str:
    rows = [["measured here", *(part for name in cells for part in (name, "chance", "AMI"))]]
    for task in tasks:
        rows.append([task])
        for cell in cells.values():
            rows[-1] += score_columns(cell.tasks.get(task), lambda summary: percent(summary.value))
    averages = [part for cell in cells.values() for part in score_columns(cell.summary)]
    return markdown_table([*rows, ["**average**", *averages]])


def _against_peers(ours: Mapping[str, Cell], others: Mapping[str, Cell]) -> str:
    rows = [["average, beside another model", "difference [95 %]", "verdict"]]
    for name, cell in ours.items():
        for peer, other in others.items():
            difference = compare(cell.scores, other.scores)
            rows.append([f"{name} − {peer}", with_interval(difference), difference.verdict])
    return markdown_table(rows, text_columns=(0, 2))


def recipe_page(runner: CellRunner, suite: Suite) -> Page:
    """The paper's own recipe, beside the scale's: what Tables 6 and 8 are trained by."""
    scale, (name, model) = runner.scale, next(iter(runner.scale.models.items()))
    rows = {
        "before training": Row("ccw"),
        "trained by the scale's recipe": ADAPTED,
        PAPER_RECIPE: replace(ADAPTED, recipe="paper"),
    }
    cells = {}
    for title, row in rows.items():
        cell = runner.cell(model, row, "last", suite)
        assert cell is not None  # there always are pairs of wiki-prompt
        cells[title] = cell
    table = [
        [f"{name}, CCW, last token", "V-measure", "chance", "AMI", "difference to the paper's recipe [95 %]"]
    ]
    for title, cell in cells.items():
        against = compare(cell.scores, cells[PAPER_RECIPE].scores) if title != PAPER_RECIPE else None
        table.append([title, *score_columns(cell.summary), with_interval(against, missing="")])
    notes = [
        f"Scored on {suite.description}. Pairs: {runner.pairs.describe('wiki-prompt')}. Runs: {scale.seeds}.",
        f"The paper's recipe: {_settings(read_recipe('paper'))}.",
        f"The recipe of the other tables: {_settings({**read_recipe(scale.recipe), **scale.settings})}.",
    ]
    records = [
        {"table": "recipe", "model": model, "row": title, "column": "last", **summary_record(cell.summary)}
        for title, cell in cells.items()
    ]
    body = "\n\n".join([markdown_table(table), bullet_list(notes)])
    return Page("recipe", "the paper's own, measured", body, records, {"notes": notes})


def _settings(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {recipe[name]}" for name in RECIPE_SETTINGS if name in recipe)
