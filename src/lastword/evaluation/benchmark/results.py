"""What is done is kept: a file for each task and seed, and mteb's own files beside them.

`FOLDER/results/MODEL/REVISION/TASK.json` is mteb's layout, which its ResultCache and its tools read; its numbers
have six digits. `FOLDER/lastword/REVISION/TASK-SEED.json` holds the same scores in full, which texts they are
of, and a checksum; a task whose file fits is not scored again.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mteb

from lastword.console import warn
from lastword.encoder import TextEncoder
from lastword.evaluation import tasks
from lastword.evaluation.benchmark.hub import where_from
from lastword.evaluation.benchmark.statistics import EQUAL
from lastword.evaluation.benchmark.task_score import SubsetScore
from lastword.evaluation.scores import SEED

_FORMAT = 1


@dataclass(frozen=True)
class Done:
    """A task with one seed, scored.

    Attributes:
        rows: a score for each subset.
        copy: hash of the local copy that its texts are from; None for the Hub.
        verdict: how these compare with mteb's statistics.
    """

    rows: tuple[SubsetScore, ...]
    copy: str | None
    verdict: str


class ResultFolder:
    """The results of one model.

    Args:
        folder: of the results of all models.
        encoder: the model; its identity names its part of the folder.
    """

    def __init__(self, folder: Path, encoder: TextEncoder) -> None:
        self.meta = tasks.MtebModel(encoder).mteb_model_meta
        self.cache = mteb.ResultCache(folder)
        self.own = folder / "lastword" / str(self.meta.revision)

    def read(self, task: Any, seed: int, copy: str | None) -> Done | None:
        """What is done of a task, if it is of the texts that would be scored now."""
        path = self._path(task, seed)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            checked = content["checksum"] == _checksum(content)
            done = Done(
                tuple(SubsetScore(**row) for row in content["rows"]), content["copy"], content["verdict"]
            )
        except (ValueError, KeyError, TypeError):
            checked = False
        if not checked:
            warn(f"{path} is damaged: the task is scored again")
            return None
        fits = content["made"] == _made(task) and (done.copy == copy or done.verdict == EQUAL)
        return done if fits else None

    def write(self, task: Any, seed: int, done: Done, scores: Mapping[str, Any], seconds: float) -> None:
        """Keep a task's scores; mteb's file only for mteb's own seed."""
        if seed == SEED:
            self._write_mteb(task, done, scores, seconds)
        content = {
            "made": _made(task),
            "seed": seed,
            "copy": done.copy,
            "verdict": done.verdict,
            "rows": [asdict(row) for row in done.rows],
        }
        content["checksum"] = _checksum(content)
        text = json.dumps(content, indent=1) + "\n"
        _replace(self._path(task, seed), lambda path: path.write_text(text, encoding="utf-8"))

    def _write_mteb(self, task: Any, done: Done, scores: Mapping[str, Any], seconds: float) -> None:
        now = datetime.datetime.now(tz=datetime.UTC)
        result = mteb.TaskResult.from_task_results(task, scores, evaluation_time=seconds, date=now)
        if done.verdict != EQUAL and done.copy:
            result.dataset_revision = f"local-{done.copy}"  # not the texts whose revision the task names
        path = self.cache.get_task_result_path(task.metadata.name, self.meta)
        _replace(path, result.to_disk)
        facts = json.dumps(self.meta.to_dict(), default=str, indent=4)
        _replace(path.with_name("model_meta.json"), lambda other: other.write_text(facts, encoding="utf-8"))

    def _path(self, task: Any, seed: int) -> Path:
        return self.own / f"{task.metadata.name}-{seed}.json"


def _made(task: Any) -> dict[str, Any]:
    """What a score also depends on: another protocol or another data set is another score."""
    return {"format": _FORMAT, "mteb": importlib.metadata.version("mteb"), "data": where_from(task)}


def _checksum(content: Mapping[str, Any]) -> str:
    facts = {name: value for name, value in content.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under another name, then rename it; two processes do not meet in the other name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
