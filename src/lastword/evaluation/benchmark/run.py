"""The function behind `lastword evaluate --benchmark`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lastword.cache import VectorCache
from lastword.cache.encoder import CachedEncoder
from lastword.console import info, warn
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import description, load_encoder, with_batches
from lastword.errors import MissingFileError
from lastword.evaluation.benchmark.hub import MissingDataError, where_from
from lastword.evaluation.benchmark.names import seeds_from, task_names
from lastword.evaluation.benchmark.statistics import EQUAL
from lastword.evaluation.benchmark.task_score import TaskScore
from lastword.files.cache_folder import cache_folder


def benchmark(
    model: str | Path | TextEncoder,
    benchmarks: str | Iterable[str],
    *,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    cache: str | Path | bool = True,
    seeds: int = 1,
    template: str | None = None,
    pooling: str | None = None,
    also_poolings: Sequence[str] = (),
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Score a model on tasks of MTEB by mteb's own code, going on where an earlier call ended.

    A task whose texts cannot be had is reported as missing and never left out in silence: there is an average
    only if nothing is missing.

    Args:
        model: as for `evaluate`.
        benchmarks: "paper-clustering" (21 tasks), "paper-eight", "paper-classification" (48), or names of
            mteb's English clustering and classification tasks; several in a list or with commas.
        data_dir: folder with local copies of data sets, read in place of the Hub.
        results: folder of the results, in the layout of mteb's ResultCache; None is the user's cache folder.
        cache: folder of the vectors that are kept; True is the user's cache folder, False keeps none.
        seeds: how many seeds each task is scored with, mteb's own first.
        template: of a decoder; None takes the folder's own, or none.
        pooling: of a decoder; None takes the folder's own, or mean.
        also_poolings: of a decoder; the cache keeps the vectors of these too, from the same passes, so that a
            later call with one of them embeds nothing.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        dtype: precision of the model; None is what its kind does by default.
        device: None is the best there is.

    Returns:
        model, template and pooling; tasks (see `TaskScore`), each with the verdict on its texts; missing
        (task, subset, reason, dataset, how to get it); average over all tasks, 0 … 1, None if anything is
        missing; average_of_present, over the present tasks that have all their subsets, and how many these
        are; texts that were encoded and found in the cache; results, the folder; seconds.

    Raises:
        RequestError, ModelError, MissingFileError: see the message.
    """
    names, seed_list = task_names(benchmarks), seeds_from(seeds)
    folder = Path(data_dir) if data_dir is not None else None
    if folder and not folder.is_dir():
        raise MissingFileError(f"no folder {folder}: give one with copies of the data sets (--data-dir)")
    encoder = load_encoder(model, template=template, pooling=pooling, dtype=dtype, device=device)
    scored = with_batches(encoder, batch_tokens, also_poolings)
    fixed = not (isinstance(encoder, TfidfEncoder) or getattr(encoder, "batch_dependent", False))
    if cache is not False and fixed:
        scored = CachedEncoder(scored, VectorCache(None if cache is True else cache))
    started = time.perf_counter()
    run = _Run(scored, folder, Path(results) if results is not None else cache_folder("results"), seed_list)
    run.score_all(names)
    return {
        **description(encoder),
        "tasks": [_facts(run, row) for row in run.rows],
        "missing": run.missing,
        **_averages(names, run.rows, run.missing),
        "encoded": getattr(scored, "encoded", None),
        "from_cache": getattr(scored, "found", None),
        "results": str(run.results_folder),
        "seconds": round(time.perf_counter() - started, 3),
    }


class _Run:
    """The tasks one after another: rows of those that are there, reasons for the others."""

    def __init__(
        self, encoder: TextEncoder, data_dir: Path | None, results: Path, seeds: Sequence[int]
    ) -> None:
        from lastword.evaluation.benchmark.results import ResultFolder
        from lastword.evaluation.benchmark.scoring import Texts

        self.encoder, self.seeds, self.results_folder = encoder, seeds, results
        self.texts = Texts(data_dir)
        self.results = ResultFolder(results, encoder)
        self.rows: list[TaskScore] = []
        self.missing: list[dict[str, str | None]] = []
        self.verdicts: dict[str, str] = {}
        self.splits: dict[str, Sequence[str]] = {}

    def score_all(self, names: Sequence[str]) -> None:
        from lastword.evaluation.benchmark.scoring import make_task

        plain = {name: make_task(name, self.seeds[0]) for name in names}  # all of them, before any work
        self.splits = {name: task.eval_splits for name, task in plain.items()}
        left = {name: _cost(task) for name, task in plain.items()}
        spent = done = 0.0
        for place, (name, task) in enumerate(plain.items(), 1):
            began = time.monotonic()
            try:
                rows, computed = self._score(name)
            except MissingDataError as error:
                self._miss(task, None, str(error))
                rows, computed = [], False
            cost = left.pop(name)
            if computed:
                spent, done = spent + time.monotonic() - began, done + cost
            self._tell(place, len(plain), name, rows, spent / done * sum(left.values()) if done else None)
            self.rows += rows
            for subset in task.hf_subsets if rows else []:
                if subset not in {row.subset for row in rows}:
                    self._miss(task, subset, "the local copy does not hold it")

    def _score(self, name: str) -> tuple[list[TaskScore], bool]:
        """Rows of a task, and whether there was anything to compute."""
        from lastword.evaluation.benchmark.results import Done
        from lastword.evaluation.benchmark.scoring import make_task, score

        finished, computed = [], False
        for seed in self.seeds:
            task = make_task(name, seed)
            copy = self.texts.hash_of(task)
            done = self.results.read(task, seed, copy)
            if done is None:
                verdict = self.texts.load(task)
                began = time.monotonic()
                rows, scores = score(task, self.encoder, seed)
                done, computed = Done(tuple(rows), copy, verdict), True
                self.results.write(task, seed, done, scores, time.monotonic() - began)
            finished.append(done)
        self.verdicts[name] = finished[0].verdict
        rows_of_seeds = zip(*(one.rows for one in finished), strict=True)
        return [
            TaskScore(**asdict(rows[0]), task=name, seed_scores=tuple(row.score for row in rows))
            for rows in rows_of_seeds
        ], computed

    def _miss(self, task: Any, subset: str | None, reason: str) -> None:
        path = task.metadata.dataset["path"]
        how = (
            f"with a network: hf download {path} --repo-type dataset --revision "
            f"{task.metadata.dataset['revision']} --local-dir DIR/{path}, then --data-dir DIR"
        )
        self.missing.append(
            {
                "task": task.metadata.name,
                "subset": subset,
                "reason": reason,
                "dataset": where_from(task),
                "how": how,
            }
        )

    def _tell(
        self, place: int, total: int, name: str, rows: Sequence[TaskScore], seconds_left: float | None
    ) -> None:
        if rows:
            score = statistics.fmean(row.score for row in rows)
            if (verdict := self.verdicts[name]) != EQUAL:
                warn(f"{name}: {verdict}")
            line = f"{100 * score:.1f}"
        else:
            line = f"missing: {self.missing[-1]['reason']}"
        left = f"; {_duration(seconds_left)} left" if seconds_left and place < total else ""
        info(f"[{place}/{total}] {name} {line}{left}")


def _averages(
    names: Sequence[str], rows: Sequence[TaskScore], missing: Sequence[dict[str, str | None]]
) -> dict[str, Any]:
    incomplete = {one["task"] for one in missing}
    means = [
        statistics.fmean(row.score for row in rows if row.task == name)
        for name in names
        if name not in incomplete
    ]
    mean = statistics.fmean(means) if means else None
    return {
        "average": None if missing else mean,
        "average_of_present": mean,
        "present": len(means),
        "asked": len(names),
    }


def _facts(run: _Run, row: TaskScore) -> dict[str, Any]:
    return row.as_dict() | {"texts": run.verdicts[row.task], "splits": list(run.splits[row.task])}


def _cost(task: Any) -> float:
    """Characters to embed, roughly: what the time left is reckoned by."""
    known = task.metadata.descriptive_stats or {}
    cost = 0.0
    for split in task.eval_splits:
        facts = known.get(split, {})
        if subsets := facts.get("hf_subset_descriptive_stats"):
            parts = [subsets[subset] for subset in task.hf_subsets if subset in subsets]
        else:
            parts = [facts]
        for part in parts:
            text = part.get("text_statistics") or {"average_text_length": 200}
            drawn = part.get("num_samples", 1000) * (
                getattr(task, "max_fraction_of_documents_to_embed", None) or 1
            )
            cost += drawn * min(text["average_text_length"], 2000)
    return cost or 1.0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
