"""The pages of the tables that are no grid of rows and poolings: Table 7, Table 8 and Figure 1."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from lastword.config import read_recipe
from lastword.embedding import Embedder
from lastword.experiments import Comparison, sweep
from lastword.experiments.combinations import UNCHANGED, shown
from lastword.explanation.words import english_stop_words, marked_tokens
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
from lastword.training import LastStep, train
from lastword.uncertainty import compare

PAPER_NAMES = {"batch_pairs": "batch_size"}
"""Our name of a setting → the paper's, where it has another."""
ADAPTED = Row.parse("CCW + wiki-prompt")
"""What Table 8 compares with other models."""
FIGURE_WORDS = ("man", "driving", "car")
OVER_TRAINED = 10  # times the recipe's steps; the paper's over-trained panel has 20 to 200 times as many
PANELS = {"before training": "prompt_only", "trained": "after_100_steps", "over-trained": "after_20000_steps"}


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
    return Page("table7", paper["title"], body, records, {"notes": notes, "runs": comparison.to_dict()})


def _sweep(runner: CellRunner, model: str) -> Comparison:
    """The recipe and every other value alone; settings that the user fixed are not varied."""
    folder, scale = runner.folder, runner.scale
    fixed = {"model": [model], **{key: [value] for key, value in scale.settings.items()}}

    def work() -> dict[str, Any]:
        return sweep(
            scale.recipe, folder.partial / "sweep", values={**scale.sweep, **fixed}, one_at_a_time=True,
            seeds=scale.seeds, resume=True, device=runner.device,
        ).to_dict()  # fmt: skip

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
        "scores": {name: cell.to_list() for name, cell in cells.items()},
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


def figure_page(runner: CellRunner) -> Page:
    """Figure 1: attention of the last token in the paper's sentence, before training, after it and long after it."""
    paper, scale = published()["figure1"], runner.scale
    model = next(iter(scale.models.values()))
    trained = int({**read_recipe(scale.recipe), **scale.settings}["steps"])
    steps = {"before training": 0, "trained": trained, "over-trained": OVER_TRAINED * trained}
    panels = {}
    for name, count in steps.items():
        work = partial(_attention, runner, model, count, paper["sentence"])
        panels[name] = runner.folder.once(f"figure1-{count}", work)
    counts = ", ".join(f"{name}: {count} steps" for name, count in steps.items() if count)
    notes = [f"Model: {model}; {counts}. Content words: {', '.join(FIGURE_WORDS)}.", paper["note"]]
    body = "\n\n".join([_content_share(panels), _token_table(panels), bullet_list(notes)])
    records = [
        {"table": "figure1", "model": model, "row": name, "column": token, "score": round(100 * weight, 3)}
        for name, rows in panels.items()
        for token, weight, _ in rows
    ]
    return Page("figure1", paper["title"], body, records, {"notes": notes, "panels": panels})


def _attention(runner: CellRunner, model: str, steps: int, sentence: str) -> list[tuple[str, float, bool]]:
    """Attention of the last token over the sentence after this many steps, see `_weights`."""
    if not steps:
        embedder = Embedder.from_pretrained(model, template="ccw", pooling="lasttoken", device=runner.device)
        return _weights(embedder, sentence)
    folder = runner.folder.partial / f"figure1-{steps}.model"
    if not folder.exists():
        settings = {**read_recipe(runner.scale.recipe), **runner.scale.settings, "model": model}
        settings |= {"template": "ccw", "pooling": "lasttoken", "steps": steps, "seed": 0}
        train(folder, scorer=LastStep(), resume=True, trackers="none", device=runner.device, **settings)
    weights = _weights(Embedder.from_pretrained(folder, device=runner.device), sentence)
    shutil.rmtree(folder)
    return weights


def _weights(embedder: Embedder, sentence: str) -> list[tuple[str, float, bool]]:
    """Token, weight, and whether it belongs to a content word; without begin-of-text, as in the paper."""
    tokens = marked_tokens(embedder, sentence, english_stop_words())
    return [(token.token.strip(), token.weight, token.content) for token in tokens if token.part != "bos"]


def _content_share(panels: Mapping[str, list[tuple[str, float, bool]]]) -> str:
    paper = published()["figure1"]
    rows = [["attention on the content words", "paper", "here"]]
    for name, panel in PANELS.items():
        weights = zip(paper["tokens"], paper["published"][panel], strict=True)
        printed = sum(weight for token, weight in weights if token in FIGURE_WORDS)
        ours = sum(weight for _, weight, content in panels[name] if content)
        rows.append([name, f"{100 * printed:.1f} %", f"{100 * ours:.1f} %"])
    return markdown_table(rows)


def _token_table(panels: Mapping[str, list[tuple[str, float, bool]]]) -> str:
    """Our tokens with their weights; they are not the paper's, whose tokenizer is another."""
    tokens = zip(*(panels[name] for name in PANELS), strict=True)
    rows = [[f"`{row[0][0]}`", *(f"{100 * weight:.2f} %" for _, weight, _ in row)] for row in tokens]
    return markdown_table([["token", *PANELS], *rows])
