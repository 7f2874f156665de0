"""The folder of a report: while it is unfinished a file for each step, then all of them in `reproduction.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lastword.errors import ExistingOutputError
from lastword.files.run_folder import INPUTS, RunFolder, write_json

REPORT = "reproduction.json"


def tables_of(report: Mapping[str, Any]) -> list[str]:
    """The tables that a report was to have, in the order of measuring; none of an empty one."""
    tables: list[str] = report["manifest"]["settings"]["tables"] if report else []
    return tables


def layers_of(report: Mapping[str, Any]) -> list[int]:
    """The layers on the page "layers" of a report."""
    cells = [cell for page in report.get("pages", ()) if page["table"] == "layers" for cell in page["cells"]]
    return sorted({cell["layer"] for cell in cells}, reverse=True)


@dataclass(frozen=True)
class ReportFolder(RunFolder):
    """A run folder that a finished report can be the beginning of.

    A step is whatever is measured once, such as the scores of a cell. A run that extends a report copies its
    `reproduction.json` and has all steps from there: after that it is like one that was interrupted.
    """

    kind: str = "reproduction"
    extends: str = REPORT

    def earlier(self) -> dict[str, Any]:
        """`reproduction.json` of the report that this run extends; empty for a new one.

        Raises:
            ExistingOutputError: it is not a report, or one without its steps.
        """
        folder = self.partial if self.resume and self.interrupted else self.output
        path = folder / REPORT
        if not (path.is_file() and (folder == self.partial or self.extending)):
            return {}
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            report = {}
        if not (isinstance(report, dict) and {"pages", "measured", "manifest"} <= report.keys()):
            raise ExistingOutputError(
                f"{self.output} cannot be extended: its {REPORT} does not hold what was measured, as this version "
                "writes it; choose another path, or pass overwrite=True to measure it again"
            )
        return report

    def before(self) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Settings and inputs of the interrupted run or finished report that is continued; None for a new one."""
        manifest = {} if self.interrupted else self.earlier().get("manifest", {})
        return (manifest["settings"], manifest["inputs"]) if manifest else super().before()

    def lacks(self, tables: Sequence[str], layers: Sequence[int]) -> bool:
        """Whether the report that this run extends lacks one of these tables, or a layer of the page "layers"."""
        report = self.earlier()
        pages = {page["table"] for page in report["pages"]}
        return not (set(tables) <= pages and set(layers) <= set(layers_of(report)))

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The steps of the report that is extended."""
        steps: dict[str, Any] = self.earlier().get("measured", {})
        return steps

    def has(self, name: str) -> bool:
        """Whether a step is done, in this run or in the report that it extends."""
        return name in self._kept or super().has(name)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a step and store its result, or read it."""
        return self._kept[name] if name in self._kept else super().once(name, work)

    def measured(self) -> dict[str, Any]:
        """Every step that is done → its result."""
        files = (path for path in sorted(self.partial.glob("*.json")))
        new = {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in files
            if path.name not in (self.record, INPUTS, REPORT)
        }
        return {**self._kept, **new}

    def finish_report(self, markdown: str, csv: str, report: Mapping[str, Any]) -> None:
        """Write the files of the report, and put a folder with them at `output`."""
        finished = self.partial / "finished"
        finished.mkdir(exist_ok=True)
        (finished / "report.md").write_text(markdown, encoding="utf-8")
        (finished / "cells.csv").write_text(csv, encoding="utf-8")
        write_json(finished / REPORT, report)
        self.finish(finished)
