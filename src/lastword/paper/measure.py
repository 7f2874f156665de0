"""Measures the chosen tables of the paper, and writes the report."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lastword.console import info
from lastword.embedding import Embedder
from lastword.embedding.device import torch_device, torch_dtype
from lastword.paper.cells import CellRunner, Row
from lastword.paper.claims import Cells, judge
from lastword.paper.defects import defects_page
from lastword.paper.figure import figure_page
from lastword.paper.folder import ReportFolder, layers_of, tables_of
from lastword.paper.forecast import log_forecast
from lastword.paper.layers import announce_layers, layers_page
from lastword.paper.pages import ADAPTED, recipe_page, settings_page, tasks_page
from lastword.paper.pairs import PairSources
from lastword.paper.report import Page, as_csv, report, score_page
from lastword.paper.scales import Scale, upper_third
from lastword.paper.suites import TASKS, Suite, suite_of
from lastword.paper.tables import PAGES, SCORE_TABLES, Table, published, read_table

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
        measured: every step by name → its result. A cell has a step for each training seed: the score of each task
            with all draws and resamples, from which every error and verdict can be computed again.
        not_measured: tables whose texts are missing.
        manifest: settings, models, texts, and the machine and versions of each run that added tables.
    """

    output: Path
    pages: tuple[Page, ...]
    measured: dict[str, Any]
    not_measured: tuple[str, ...]
    manifest: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `reproduction.json` has them."""
        pages, missing = [page.to_dict() for page in self.pages], list(self.not_measured)
        return {"pages": pages, "measured": self.measured, "not_measured": missing, "manifest": self.manifest}


def measure(
    folder: ReportFolder,
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

    A run that continues another must have the same `record` and `inputs`, but may be asked for other tables and
    layers. A new one records the precision, so that it is that of all tables, wherever they are measured.
    """
    if folder.before() is None and not scale.dtype:
        precision = {"dtype": str(torch_dtype(None, torch_device(device))).removeprefix("torch.")}
        scale = replace(scale, settings={**scale.settings, **precision})
        record = {**record, "settings": scale.settings}
    with folder.open(record, inputs):
        runner = CellRunner(folder, scale, PairSources(folder.partial, data, pair_files), device)
        result = _Tables(runner, data, peers, folder.earlier()).measure(tables, layers, record, inputs)
        rows = [row for page in result.pages for row in page.records]
        folder.finish_report(report(scale.description, result.pages), as_csv(rows), result.to_dict())
    return result


class _Tables:
    """Measures the chosen tables one after another, after those of the report that is extended."""

    def __init__(
        self, runner: CellRunner, data: Path | None, peers: list[str], earlier: Mapping[str, Any]
    ) -> None:
        self.runner, self.data, self.peers, self.earlier = runner, data, peers, earlier
        self.layers: list[int] = []
        self.counted: dict[tuple[object, ...], str] = {}

    def measure(
        self, asked: Sequence[str], layers: Sequence[int], record: dict[str, Any], inputs: Mapping[str, str]
    ) -> Reproduction:
        plan = self.runner.scale
        names = list(dict.fromkeys([*tables_of(self.earlier), *asked]))
        if "layers" in asked and not layers:
            layers = upper_third(self.runner.base(next(iter(plan.models.values()))).depth)
        self.layers = list(dict.fromkeys([*layers, *layers_of(self.earlier)]))
        suites = self._suites(names)
        log_forecast(self.runner, suites, self._announce(suites))
        pages, files, tasks = [], list(self.runner.pairs.files.values()), dict[str, str]()
        for name, suite in suites.items():
            page = self._page(name, suite)
            pages.append(page.with_note(plan.note) if plan.note else page)
            files += [*suite.files, *_pair_files(name, self.runner.pairs)]
            tasks |= suite.revisions()
        pages.sort(key=lambda page: PAGES.index(page.name))
        missing = [name for name in names if name not in suites]
        manifest = {
            "settings": {"tables": names, **record},
            "inputs": dict(inputs),
            "runs": [*self.earlier.get("manifest", {}).get("runs", []), {"tables": list(asked), **_circumstances()}],
            "weights": self._weights(),
            "files": {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()
            },
            "tasks": tasks,
        }  # fmt: skip
        folder = self.runner.folder
        return Reproduction(folder.output, tuple(pages), folder.measured(), tuple(missing), manifest)

    def _weights(self) -> dict[str, str]:
        """Base model → hash of its weights in the precision of the report."""
        scale = self.runner.scale
        self.runner.loaded.clear()
        return {
            name: Embedder.from_pretrained(
                name, dtype=scale.dtype, device=self.runner.device
            ).backbone.weights_hash
            for name in (*scale.models.values(), *(scale.sizes or {}).values())
        }

    def _suites(self, names: Sequence[str]) -> dict[str, Suite]:
        """What each table is measured on, in the order of measuring, without tables whose texts are missing."""
        suites = {}
        for name in names:
            suite = suite_of(self._kind(name, names), self.data, self.runner.scale)
            if suite is None:
                info(f"{name}: its texts are missing; pass data_dir=…")
            else:
                suites[name] = suite
        return suites

    def _kind(self, name: str, names: Sequence[str]) -> str:
        """The kind of suite of a table.

        With Tables 3 to 6, whose suite has the eight tasks, Table 8 takes their scores from there, unless it was
        measured before them.
        """
        if name != "table8":
            return KINDS.get(name, "clustering")
        model, column = next(iter(self.runner.scale.models.values())), published()["table8"]["columns"][0]
        for kind in (KINDS[name], "clustering"):
            if self.runner.finished(self.runner.run_names(model, ADAPTED, column, kind)[0]):
                return kind
        return "clustering" if set(names) & (set(SCORE_TABLES) - set(KINDS)) else KINDS[name]

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
            cells[name] = {place: measured[place] for place in places}
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


def _circumstances() -> dict[str, Any]:
    """Versions and machine."""
    import torch

    return {
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
