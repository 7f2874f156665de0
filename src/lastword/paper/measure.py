"""Measures the chosen tables of the paper, and writes the report."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lastword.console import info
from lastword.embedding import Embedder
from lastword.files.run_folder import RunFolder, write_json
from lastword.paper.cells import CellRunner, Row
from lastword.paper.claims import Cells, judge
from lastword.paper.defects import defects_page
from lastword.paper.figure import figure_page
from lastword.paper.forecast import log_forecast
from lastword.paper.layers import announce_layers, layers_page
from lastword.paper.pages import recipe_page, settings_page, tasks_page
from lastword.paper.pairs import PairSources
from lastword.paper.report import Page, as_csv, report, score_page
from lastword.paper.scales import Scale
from lastword.paper.suites import TASKS, Suite, suite_of
from lastword.paper.tables import PAGES, SCORE_TABLES, Table, read_table

RESULT_FILES = ("report.md", "cells.csv", "reproduction.json")
KINDS = {"table8": "eight", "table9": "classification", "table10": "emotion"}
"""Table → kind of suite; the others are clusterings."""
_PACKAGES = (
    "lastword", "torch", "transformers", "peft", "mteb", "sentence-transformers", "scikit-learn", "numpy",
)  # fmt: skip


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
        pages, missing = [page.to_dict() for page in self.pages], list(self.not_measured)
        return {"pages": pages, "scores": self.scores, "not_measured": missing, "manifest": self.manifest}


def measure(
    folder: RunFolder,
    record: dict[str, Any],
    inputs: Mapping[str, str],
    tables: Sequence[str],
    scale: Scale,
    data: Path | None,
    pair_files: Mapping[str, Path],
    peers: list[str],
    layers: Sequence[int],
    device: str | None,
) -> Reproduction:
    """Measure tables and write `report.md`, `cells.csv` and `reproduction.json`; arguments as for `reproduce`.

    A resumed run must have the same `record` and `inputs`, but may be asked for other tables.
    """
    with folder.open(record, inputs):
        runner = CellRunner(folder, scale, PairSources(folder.partial, data, pair_files), device)
        result = _Tables(runner, data, peers, layers).measure(tables, record)
        (folder.partial / "report.md").write_text(report(scale.description, result.pages), encoding="utf-8")
        rows = [row for page in result.pages for row in page.records]
        (folder.partial / "cells.csv").write_text(as_csv(rows), encoding="utf-8")
        write_json(folder.partial / "reproduction.json", result.to_dict())
        _remove_intermediate(folder.partial)
        folder.finish(folder.partial)
    return result


class _Tables:
    """Measures the chosen tables one after another."""

    def __init__(
        self, runner: CellRunner, data: Path | None, peers: list[str], layers: Sequence[int]
    ) -> None:
        self.runner, self.data, self.peers, self.layers = runner, data, peers, layers
        self.scores: dict[str, dict[str, dict[str, Any]]] = {}
        self.counted: dict[tuple[object, ...], str] = {}

    def measure(self, names: Sequence[str], record: dict[str, Any]) -> Reproduction:
        plan = self.runner.scale
        given = self.runner.pairs.files
        suites = self._suites(names)
        log_forecast(self.runner, suites, self._announce(suites))
        pages, files, tasks = [], list(given.values()), dict[str, str]()
        for name, suite in suites.items():
            page = self._page(name, suite)
            pages.append(page.with_note(plan.note) if plan.note else page)
            files += [*suite.files, *_pair_files(name, self.runner.pairs)]
            tasks |= suite.revisions()
        pages.sort(key=lambda page: PAGES.index(page.name))
        missing = [name for name in names if name not in suites]
        paths = {
            "data_dir": self.data and self.data.name,
            "pairs": {key: path.name for key, path in given.items()},
        }
        settings = {"tables": list(names), **record, **paths}
        models = [*plan.models.values(), *(plan.sizes or {}).values()]
        facts = _manifest(settings, models, files, tasks)
        return Reproduction(self.runner.folder.output, tuple(pages), self.scores, tuple(missing), facts)

    def _suites(self, names: Sequence[str]) -> dict[str, Suite]:
        """What each table is measured on, in the order of measuring, without tables whose texts are missing."""
        suites = {}
        for name in names:
            # With Tables 3 to 6, whose suite has the eight tasks, Table 8 takes their scores from there.
            whole = name == "table8" and set(names) & (set(SCORE_TABLES) - set(KINDS))
            kind = "clustering" if whole else KINDS.get(name, "clustering")
            suite = suite_of(kind, self.data, self.runner.scale)
            if suite is None:
                info(f"{name}: its texts are missing; pass data_dir=…")
            else:
                suites[name] = suite
        return suites

    def _announce(self, suites: Mapping[str, Suite]) -> int:
        """Tell the runner of all cells without training, so that passes of the models serve all of them.

        Returns:
            The number of training runs of the other cells that are not finished.
        """
        runs = set[str]()
        for name, suite in suites.items():
            if name == "layers":
                announce_layers(self.runner, suite, self.layers)
            for model, row, column, template in self._cells_of(name):
                if not row.source:
                    self.runner.announce(model, row, column, suite.kind, template)
                elif self.runner.pairs.has(row.source):
                    runs |= set(self.runner.run_names(model, row, column, suite.kind))
        return sum(not self.runner.finished(name) for name in runs)

    def _cells_of(self, name: str) -> Iterator[tuple[str, Row, str, str]]:
        """Model, row, column and template of each cell of a table of scores."""
        if name not in SCORE_TABLES:
            return
        table = read_table(name)
        for paper_name, model in self._models(table).items():
            for row in self._rows(table, paper_name):
                for column in table.columns:
                    yield model, Row.parse(row), column, table.template

    def _rows(self, table: Table, model: str) -> list[str]:
        """Rows of a model: the paper's, or all of the table and those that the scale adds."""
        added = (self.runner.scale.rows or {}).get(table.name, ())
        return list(table.published.get(model) or (*table.rows, *added))

    def _models(self, table: Table) -> dict[str, str]:
        """Name in the table → model; where models of the paper are measured, those of other tables are left out."""
        scale = self.runner.scale
        models = {**scale.models, **((scale.sizes or {}) if table.of_sizes else {})}
        measured = set(models) & set(table.published)
        return {name: models[name] for name in models if name in measured or not measured}

    def _page(self, name: str, suite: Suite) -> Page:
        if name not in (*SCORE_TABLES, "layers"):
            self.runner.loaded.clear()  # these pages load models by themselves
        if name == "layers":
            return layers_page(self.runner, suite, self.layers)
        if name == "recipe":
            return recipe_page(self.runner, suite)
        if name == "table7":
            return settings_page(self.runner)
        if name == "table8":
            eight = set(TASKS["eight"])
            shown = [task for task in suite.names if task in eight or not self.runner.scale.all_tasks]
            return tasks_page(self.runner, suite, shown, self.peers)
        if name == "figure1":
            return figure_page(self.runner, suite)
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
        models = self._models(table)
        notes = [f"Scored on {suite.description}.", f"Models: {', '.join(models[name] for name in cells)}."]
        notes += _missing_tasks(suite, cells)
        sources = dict.fromkeys(source for row in table.rows if (source := Row.parse(row).source))
        notes += [f"{name}: {self.runner.pairs.describe(name)}." for name in sources]
        return score_page(table, cells, verdicts, notes)

    def _cells(self, table: Table, suite: Suite) -> dict[str, Cells]:
        """Model → row and column → cell; those that a claim compares are measured first."""
        cells = dict[str, Cells]()
        for name, model in self._models(table).items():
            places = [(row, column) for row in self._rows(table, name) for column in table.columns]
            in_claims = [place for claim in table.claims for place in (claim.better, claim.worse)]
            measured = {
                (row, column): self.runner.cell(model, Row.parse(row), column, suite, table.template)
                for row, column in sorted(places, key=lambda place: place not in in_claims)
            }
            cells[name] = own = {place: measured[place] for place in places}
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


def _remove_intermediate(folder: Path) -> None:
    """Keep the results; remove cells and pairs that were stored in case of an interruption."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in RESULT_FILES:
            path.unlink()


def _manifest(
    settings: dict[str, Any], models: list[str], files: list[Path], tasks: dict[str, str]
) -> dict[str, Any]:
    """What the reproduction was made with: versions, machine, the weights of each base model, and texts."""
    import torch

    return {
        "settings": settings,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "weights": {name: Embedder.from_pretrained(name).backbone.weights_hash for name in models},
        "files": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()
        },
        "tasks": tasks,
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
