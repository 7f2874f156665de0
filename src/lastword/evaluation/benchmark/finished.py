"""Finished tasks on disk: a file for each task and seed, and mteb's own files beside them.

`FOLDER/results/MODEL/REVISION/TASK.json` is mteb's layout, which its ResultCache and its tools read; its numbers
have six digits. `FOLDER/lastword/REVISION/TASK-SEED.json` holds the same scores in full with their replicates,
which texts they are of, and a checksum; a task whose file matches is not scored again.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mteb

from lastword.console import warn
from lastword.encoder import TextEncoder
from lastword.evaluation.benchmark.hub import where_from
from lastword.evaluation.benchmark.mteb_model import MtebModel
from lastword.evaluation.benchmark.result import SubsetScore
from lastword.evaluation.benchmark.statistics import EQUAL
from lastword.evaluation.labels import SEED
from lastword.files.plain_json import json_text, json_values
from lastword.uncertainty import Score

_FORMAT = 2


@dataclass(frozen=True)
class FinishedTask:
    """A task that was scored with one seed; `copy` is the hash of its local copy, None for the Hub."""

    subsets: tuple[SubsetScore, ...]
    copy: str | None
    verdict: str


class ResultFolder:
    """The results of one model.

    Args:
        folder: of the results of all models.
        encoder: the model; its identity names its part of the folder.
    """

    def __init__(self, folder: Path, encoder: TextEncoder) -> None:
        self.meta = MtebModel(encoder).mteb_model_meta
        self.cache = mteb.ResultCache(folder)
        self.files = folder / "lastword" / str(self.meta.revision)

    def read(self, task: Any, seed: int, copy: str | None) -> FinishedTask | None:
        """A finished task, if its texts are those that would be scored now."""
        path = self._path(task, seed)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            intact = content["checksum"] == _checksum(content)
            if intact and content["protocol"] != _protocol(task):
                return None
            subsets = (
                SubsetScore(row["subset"], row["documents"], Score.from_dict(row["score"]))
                for row in content["subsets"]
            )
            finished = FinishedTask(tuple(subsets), content["copy"], content["verdict"])
        except (ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            warn(f"{path} is damaged: the task is scored again")
            return None
        return finished if finished.copy == copy or finished.verdict == EQUAL else None

    def write(
        self, task: Any, seed: int, finished: FinishedTask, scores: Mapping[str, Any], seconds: float
    ) -> None:
        """Write a task's scores; mteb's file only for mteb's own seed."""
        if seed == SEED:
            self._write_mteb(task, finished, scores, seconds)
        content = json_values(
            {
                "protocol": _protocol(task),
                "seed": seed,
                "copy": finished.copy,
                "verdict": finished.verdict,
                "subsets": [{**vars(subset), "score": subset.score.to_dict()} for subset in finished.subsets],
            }
        )
        content["checksum"] = _checksum(content)
        text = json_text(content) + "\n"
        _replace(self._path(task, seed), lambda path: path.write_text(text, encoding="utf-8"))

    def _write_mteb(
        self, task: Any, finished: FinishedTask, scores: Mapping[str, Any], seconds: float
    ) -> None:
        now = datetime.datetime.now(tz=datetime.UTC)
        result = mteb.TaskResult.from_task_results(task, scores, evaluation_time=seconds, date=now)
        if finished.verdict != EQUAL and finished.copy:
            result.dataset_revision = f"local-{finished.copy}"  # not the texts whose revision the task names
        path = self.cache.get_task_result_path(task.metadata.name, self.meta)
        _replace(path, result.to_disk)
        meta = json.dumps(json_values(self.meta.to_dict()), default=str, indent=4)
        _replace(path.with_name("model_meta.json"), lambda other: other.write_text(meta, encoding="utf-8"))

    def _path(self, task: Any, seed: int) -> Path:
        return self.files / f"{task.metadata.name}-{seed}.json"


def _protocol(task: Any) -> dict[str, Any]:
    """What a score also depends on: another version of mteb or of the data set gives another score."""
    return {"format": _FORMAT, "mteb": importlib.metadata.version("mteb"), "data": where_from(task)}


def _checksum(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file atomically: under a name of this process, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
