"""One command for each table of the paper: measure it, and show the figures beside the paper's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lastword.console import info
from lastword.errors import MissingFileError, RequestError, unknown_name
from lastword.files.run_folder import RunFolder, write_json
from lastword.paper.cells import Cell, CellRunner, Row
from lastword.paper.claims import Cells, judge
from lastword.paper.defects import defects_page
from lastword.paper.manifest import manifest
from lastword.paper.pages import figure_page, settings_page, tasks_page
from lastword.paper.pairs import PairSources
from lastword.paper.report import Page, as_csv, report, score_page
from lastword.paper.scales import SCALES, Scale
from lastword.paper.suites import TASKS, Suite, suite_of
from lastword.paper.tables import SCORE_TABLES, TABLES, Table, read_table

NAMES = (*TABLES, "defects")
RESULT_FILES = ("report.md", "cells.csv", "reproduction.json")
KINDS = {"table8": "eight", "table9": "classification", "table10": "emotion"}
"""Table → kind of suite; the others are clusterings."""


@dataclass(frozen=True)
class Reproduction:
    """What was measured.

    Attributes:
        output: the folder with `report.md`, `cells.csv` and `reproduction.json`.
        pages: one for each table.
        scores: kind of suite → our model → row and column → for each training seed the score of each task, with
            all draws and resamples: every error and verdict can be computed again from them.
        not_measured: tables whose texts are missing.
        manifest: versions, machine, models, texts.
    """

    output: Path
    pages: tuple[Page, ...]
    scores: dict[str, dict[str, dict[str, Any]]]
    not_measured: tuple[str, ...]
    manifest: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `reproduction.json` has them."""
        return {
            "pages": [page.to_dict() for page in self.pages],
            "scores": self.scores,
            "not_measured": list(self.not_measured),
            "manifest": self.manifest,
        }


def reproduce(
    tables: str | Sequence[str],
    output: str | Path,
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
) -> Reproduction:
    """Measure tables of arXiv:2507.22729 and judge their claims.

    Args:
        tables: "table3" … "table10", "figure1", "defects" (what the defects of the paper's code cost), or "all".
        output: folder for `report.md`, `cells.csv` and `reproduction.json`; unfinished work is in
            `OUTPUT.partial`.
        scale: "mini" (the bundled model on local texts) or "paper" (the paper's models on its MTEB tasks).
        models: other models in place of the scale's.
        data_dir: folder of public texts and pairs; without it bundled texts are used where that is possible.
        pairs: the paper's name of a source ("nli", "wiki-translate", "wiki-prompt", "labels") → file of pairs.
        peers: models that Table 8 compares with ours, as `evaluate` knows them.
        seeds: training runs of each row; None is the scale's number.
        max_texts: most texts of each local set that is not an MTEB task; None is the scale's number.
        resume: continue an interrupted reproduction with the same settings.
        overwrite: replace `output`.
        device: None is the best available one.
        **settings: fields of `TrainConfig` that replace those of the scale's recipe.

    Raises:
        RequestError, MissingFileError, ExistingOutputError: see the message.
    """
    chosen = _chosen(tables)
    plan = _scale(scale, models, seeds, max_texts, settings)
    data = Path(data_dir) if data_dir else None
    if data and not data.is_dir():
        raise MissingFileError(f"no folder {data}: pass data_dir= a folder of texts, or leave it out")
    files = {name: Path(file) for name, file in (pairs or {}).items()}
    record = json.loads(json.dumps({
        "tables": chosen, **asdict(plan), "data_dir": str(data) if data else None,
        "pairs": {name: str(file) for name, file in files.items()}, "peers": list(peers),
    }))  # fmt: skip
    folder = RunFolder(Path(output), "reproduction", resume, overwrite)
    runner = CellRunner(folder, plan, PairSources(folder.partial, data, files), device)
    with folder.open(record):
        result = _Tables(runner, data, list(peers)).measure(chosen, record)
        (folder.partial / "report.md").write_text(report(plan.description, result.pages), encoding="utf-8")
        rows = [record for page in result.pages for record in page.records]
        (folder.partial / "cells.csv").write_text(as_csv(rows), encoding="utf-8")
        write_json(folder.partial / "reproduction.json", result.to_dict())
        _remove_intermediate(folder.partial)
        folder.finish(folder.partial)
    return result


class _Tables:
    """Measures the chosen tables one after another."""

    def __init__(self, runner: CellRunner, data: Path | None, peers: list[str]) -> None:
        self.runner, self.data, self.peers = runner, data, peers
        self.scores: dict[str, dict[str, dict[str, Any]]] = {}
        self.counted: dict[tuple[object, ...], str] = {}

    def measure(self, names: list[str], record: dict[str, Any]) -> Reproduction:
        plan = self.runner.scale
        pages, files, tasks = [], list(self.runner.pairs.files.values()), dict[str, str]()
        for name in names:
            # With Tables 3 to 6, whose suite has the eight tasks, Table 8 takes their scores from there.
            whole = name == "table8" and any(KINDS.get(other) is None for other in names if other in SCORE_TABLES)
            kind = "clustering" if whole else KINDS.get(name, "clustering")
            suite = suite_of(kind, self.data, plan.all_tasks, plan.max_texts)
            if suite is None:
                info(f"{name}: its texts are missing; pass data_dir=…")
                continue
            pages.append(self._page(name, suite))
            files += [*suite.files, *_pair_files(name, self.runner.pairs)]
            tasks |= suite.revisions()
        missing = [name for name in names if name not in {page.name for page in pages}]
        facts = manifest(record, list(plan.models.values()), files, tasks)
        return Reproduction(self.runner.folder.output, tuple(pages), self.scores, tuple(missing), facts)

    def _page(self, name: str, suite: Suite) -> Page:
        if name == "table7":
            return settings_page(self.runner)
        if name == "table8":
            eight = set(TASKS["eight"])
            shown = [task for task in suite.names if task in eight or not self.runner.scale.all_tasks]
            return tasks_page(self.runner, suite, shown, self.peers)
        if name == "figure1":
            return figure_page(self.runner)
        if name == "defects":
            return defects_page(self.runner)
        return self._score_page(read_table(name), suite)

    def _score_page(self, table: Table, suite: Suite) -> Page:
        """Every cell of a table for every model, and the verdicts on its claims."""
        cells = self._cells(table, suite)
        verdicts = []
        for verdict in judge(table, cells):
            key = (suite.kind, *verdict.cells)
            first = self.counted.setdefault(key, table.name)
            verdicts.append(verdict if first == table.name else replace(verdict, repeats=first))
        models = self.runner.scale.models
        notes = [f"Scored on {suite.description}.", f"Models: {', '.join(models[name] for name in cells)}."]
        notes += _missing_tasks(suite, cells)
        sources = dict.fromkeys(source for row in table.rows if (source := Row.parse(row).source))
        notes += [f"{name}: {self.runner.pairs.describe(name)}." for name in sources]
        return score_page(table, cells, verdicts, notes)

    def _cells(self, table: Table, suite: Suite) -> dict[str, Cells]:
        models, cells = self.runner.scale.models, dict[str, Cells]()
        for name, model in models.items():
            rows = table.published.get(name)
            if rows is None and set(models) & set(table.published):  # a model of another table
                continue
            own: dict[tuple[str, str], Cell | None] = {
                (row, column): self.runner.cell(model, Row.parse(row), column, suite, table.template)
                for row in (rows or table.rows)
                for column in table.columns
            }
            cells[name] = own
            scores = self.scores.setdefault(suite.kind, {}).setdefault(name, {})
            scores |= {", ".join(place): cell.to_list() for place, cell in own.items() if cell}
        return cells


def _pair_files(name: str, sources: PairSources) -> list[Path]:
    """The files that the pairs of a table were made from."""
    rows = read_table(name).rows if name in SCORE_TABLES else ()
    origins = [sources.origin(source) for row in rows if (source := Row.parse(row).source)]
    return [path for path in origins if path]


def _missing_tasks(suite: Suite, cells: Mapping[str, Cells]) -> list[str]:
    """A note that names the tasks without a score: no average leaves one out silently."""
    scored = {task for own in cells.values() for cell in own.values() if cell for task in cell.tasks}
    missing = [task for task in suite.names if not any(name.startswith(task) for name in scored)]
    return [f"Missing, and in no average: {', '.join(missing)}."] if missing else []


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
        names = {model: paper for paper, model in plan.models.items()}
        changes["models"] = {names.get(model, Path(model).name or model): model for model in models}
    if seeds is not None:
        if seeds < 1:
            raise RequestError(f"seeds={seeds}: give 1 or more")
        changes["seeds"] = seeds
    if max_texts is not None:
        changes["max_texts"] = max_texts
    return replace(plan, **changes)


def _remove_intermediate(folder: Path) -> None:
    """Keep the results; remove cells and pairs that were stored in case of an interruption."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in RESULT_FILES:
            path.unlink()
