"""One command for each table of the paper: measure it, and lay the figures beside the paper's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lastword.console import info
from lastword.errors import MissingFileError, RequestError, unknown_name
from lastword.files.run_folder import RunFolder, write_json
from lastword.paper.cells import Laboratory, Row
from lastword.paper.defects_page import defects_page
from lastword.paper.figure import figure_page
from lastword.paper.figures import SCORED, SOURCE, TABLES, Table, read_table
from lastword.paper.manifest import manifest
from lastword.paper.pairs import Sources
from lastword.paper.report import Outcome, Page, as_csv, page
from lastword.paper.scale import SCALES, Scale
from lastword.paper.settings import settings_page
from lastword.paper.suite import Suite, local_suite, task_suite
from lastword.paper.tasks import tasks_page
from lastword.paper.verdict import Cells, judge

NAMES = (*TABLES, "defects")
KEPT = ("report.md", "cells.csv", "reproduction.json")
KINDS = {"table9": "classification", "table10": "emotion"}
"""Table → kind of suite; the others are clusterings."""


def reproduce(
    tables: str | Sequence[str],
    out: str | Path,
    *,
    scale: str = "mini",
    models: Sequence[str] = (),
    data_dir: str | Path | None = None,
    pairs: Mapping[str, str | Path] | None = None,
    peers: Sequence[str] = ("tfidf",),
    seeds: int | None = None,
    max_texts: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Measure tables of arXiv:2507.22729 and judge what they claim.

    Args:
        tables: "table3" … "table10", "figure1", "defects" (what the defects of the paper's code cost), or "all".
        out: folder for `report.md`, `cells.csv` and `reproduction.json`; unfinished work lies in `OUT.partial`.
        scale: "mini" (the bundled model on texts at hand) or "paper" (its models on MTEB's tasks).
        models: other models in place of the scale's.
        data_dir: folder of public texts and pairs; without it the bundled ones serve where they can.
        pairs: the paper's name of a source ("nli", "wiki-translate", "wiki-prompt", "labels") → file of pairs.
        peers: models that Table 8 puts beside ours, as `evaluate` knows them.
        seeds: trainings of each row; None is the scale's.
        max_texts: most texts of each local set; None is the scale's.
        resume: go on with an interrupted reproduction of the same settings.
        overwrite: replace `out`.
        device: None takes the best there is.
        **settings: fields of `TrainConfig`, before those of the scale's recipe.

    Returns:
        What `reproduction.json` holds: a page for each table, the tables that could not be measured, and the
        manifest.

    Raises:
        RequestError, MissingFileError, ExistingOutputError: see the message.
    """
    chosen = _chosen(tables)
    plan = _scale(scale, models, seeds, max_texts, settings)
    data = Path(data_dir) if data_dir else None
    if data and not data.is_dir():
        raise MissingFileError(f"no folder {data}: give --data-dir a folder of texts, or leave it out")
    given = {name: Path(file) for name, file in (pairs or {}).items()}
    resolved = json.loads(json.dumps({
        "tables": chosen, **asdict(plan), "data_dir": str(data) if data else None,
        "pairs": {name: str(file) for name, file in given.items()}, "peers": list(peers),
    }))  # fmt: skip
    series = RunFolder(Path(out), "reproduction", resume, overwrite)
    laboratory = Laboratory(series, plan, Sources(series.partial, data, given), device)
    with series.open(resolved):
        pages, files, tasks = [], list(given.values()), dict[str, str]()
        for name in chosen:
            suite = _suite(name, plan, data)
            if suite is None:
                info(f"{name}: its texts are not there; give --data-dir")
                continue
            pages.append(_page(name, laboratory, suite, list(peers)))
            files += [*suite.files, *_pair_files(name, laboratory.sources)]
            tasks |= suite.revisions
        result = {
            "pages": [{"table": one.name, "cells": one.records, **one.facts} for one in pages],
            "not_measured": [name for name in chosen if name not in {one.name for one in pages}],
            "manifest": manifest(resolved, list(plan.models.values()), files, tasks),
        }
        _write(series.partial, pages, plan)
        write_json(series.partial / "reproduction.json", result)
        series.finish(series.partial)
    _tidy(series.output)
    return result


def _page(name: str, laboratory: Laboratory, suite: Suite, peers: list[str]) -> Page:
    if name == "table7":
        return settings_page(laboratory)
    if name == "table8":
        return tasks_page(laboratory, suite, peers)
    if name == "figure1":
        return figure_page(laboratory)
    if name == "defects":
        return defects_page(laboratory)
    return page(_measured(read_table(name), laboratory, suite))


def _measured(table: Table, laboratory: Laboratory, suite: Suite) -> Outcome:
    """Every cell of a table for every model, and what becomes of the claims."""
    scale, ours = laboratory.scale, {}
    for name, model in scale.models.items():
        known = table.published.get(name)
        if known is None and set(scale.models) & set(table.published):  # a model of another table
            continue
        cells: Cells = {
            (row, column): laboratory.value(model, Row.parse(row), column, suite, table.template)
            for row in (known or table.rows)
            for column in table.columns
        }
        ours[name] = cells
    told = [f"Scored on {suite.told}.", f"Models: {', '.join(scale.models[name] for name in ours)}."]
    told += _missing(suite, ours)
    for name in dict.fromkeys(source for row in table.rows if (source := Row.parse(row).source)):
        there = laboratory.sources.has(name)
        told.append(f"{name}: {laboratory.sources.told(name) if there else 'not there'}.")
    return Outcome(table, ours, {name: judge(table, cells) for name, cells in ours.items()}, told)


def _pair_files(name: str, sources: Sources) -> list[Path]:
    """What the pairs of a table were made of."""
    rows = read_table(name).rows if name in SCORED else ()
    origins = [sources.origin(source) for row in rows if (source := Row.parse(row).source)]
    return [path for path in origins if path]


def _missing(suite: Suite, ours: dict[str, Cells]) -> list[str]:
    """Which tasks there should be and are not: no average is silent about them."""
    there = {task for cells in ours.values() for value in cells.values() if value for task in value.tasks}
    missing = [task for task in suite.wanted if task not in there]
    if not missing:
        return []
    return [f"Missing, and in no average: {', '.join(missing)}."]


def _chosen(tables: str | Sequence[str]) -> list[str]:
    names = [tables] if isinstance(tables, str) else list(tables)
    if names == ["all"]:
        return list(NAMES)
    for name in names:
        if name not in NAMES:
            raise RequestError(unknown_name("table", name, (*NAMES, "all")))
    if not names:
        raise RequestError(f"no table: give one or several of {', '.join(NAMES)}, or all")
    return list(dict.fromkeys(names))


def _scale(
    name: str, models: Sequence[str], seeds: int | None, max_texts: int | None, settings: dict[str, Any]
) -> Scale:
    if name not in SCALES:
        raise RequestError(unknown_name("scale", name, SCALES))
    plan = SCALES[name]
    changes: dict[str, Any] = {"settings": {**plan.settings, **settings}}
    if models:
        changes["models"] = {_named(model, plan): model for model in models}
    if seeds is not None:
        if seeds < 1:
            raise RequestError(f"seeds={seeds}: give 1 or more")
        changes["seeds"] = seeds
    if max_texts is not None:
        changes["max_texts"] = max_texts
    return replace(plan, **changes)


def _named(model: str, plan: Scale) -> str:
    """The paper's name of a model, where it is one of the paper's."""
    return next((name for name, ours in plan.models.items() if ours == model), Path(model).name or model)


def _suite(table: str, plan: Scale, data: Path | None) -> Suite | None:
    kind = KINDS.get(table, "clustering")
    return task_suite(kind, data) if plan.tasks else local_suite(kind, data, plan.max_texts)


def _tidy(out: Path) -> None:
    """Leave what is to be read; cells and pairs that were kept in case of an interruption go."""
    for path in out.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in KEPT:
            path.unlink()


def _write(work: Path, pages: list[Page], plan: Scale) -> None:
    head = f"# {SOURCE}, measured again\n\nScale: {plan.told}. Percentages; ± is one standard deviation."
    report = "\n\n".join([head, *(one.markdown for one in pages)])
    (work / "report.md").write_text(report + "\n", encoding="utf-8")
    (work / "cells.csv").write_text(as_csv([row for one in pages for row in one.records]), encoding="utf-8")
