"""The function behind `lastword benchmark`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lastword.arguments import as_path
from lastword.console import duration, info, load_libraries, warn
from lastword.encoder import TextEncoder
from lastword.encoders.by_name import description, load_encoder, with_batches
from lastword.errors import MissingFileError
from lastword.evaluation.benchmark.hub import MissingDataError, where_from
from lastword.evaluation.benchmark.names import seeds_from, task_names
from lastword.evaluation.benchmark.result import BenchmarkResult, MissingTask, TaskScore
from lastword.evaluation.benchmark.statistics import EQUAL
from lastword.evaluation.local import cached, require_cache
from lastword.files.cache_folder import cache_folder
from lastword.files.run_folder import require_writable


def benchmark(
    model: str | Path | TextEncoder,
    benchmarks: str | Iterable[str],
    *,
    data_dir: str | Path | None = None,
    output: str | Path | None = None,
    cache: str | Path | bool = True,
    seeds: int = 1,
    template: str | None = None,
    pooling: str | None = None,
    also_poolings: Sequence[str] = (),
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> BenchmarkResult:
    """Score a model on tasks of MTEB by mteb's own code; tasks that an earlier call finished are not repeated.

    A task whose texts are not available is reported as missing: there is an average only if nothing is missing.

    Args:
        model: as for `evaluate`.
        benchmarks: "paper-clustering" (21 tasks), "paper-eight", "paper-classification" (48), or names of
            mteb's English clustering and classification tasks; several in a list or with commas.
        data_dir: folder with local copies of data sets, read in place of the Hub.
        output: folder of the results, in the layout of mteb's ResultCache; None is the user's cache folder.
        cache: folder of the vector cache; True is the user's cache folder, False keeps no vectors.
        seeds: how many seeds each task is scored with, mteb's own first.
        template: of a decoder; None takes the folder's own, or none.
        pooling: of a decoder; None takes the folder's own, or mean.
        also_poolings: of a decoder; the cache keeps the vectors of these too, from the same passes, so that a
            later call with one of them embeds nothing.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        dtype: precision of the model; None is the default of its kind.
        device: None is the best available.

    Returns:
        The score of every task and subset, and what is missing.

    Raises:
        RequestError, ModelError, MissingFileError: see the message.
    """
    names, seed_list = task_names(benchmarks), seeds_from(seeds)
    folder = Path(data_dir) if data_dir is not None else None
    if folder and not folder.is_dir():
        raise MissingFileError(f"no folder data_dir={str(folder)!r}: give one with copies of the data sets")
    results = as_path("output", output) if output is not None else cache_folder("results")
    require_writable(results / "file")
    require_cache(cache)
    encoder = load_encoder(model, template=template, pooling=pooling, dtype=dtype, device=device)
    load_libraries("lastword.evaluation.benchmark.mteb_model")  # mteb, without its effects on random states
    scored = cached(with_batches(encoder, batch_tokens, also_poolings), cache)
    started = time.perf_counter()
    run = _Run(scored, folder, results, seed_list)
    run.score_all(names)
    return BenchmarkResult(
        *description(encoder),
        names=tuple(names),
        tasks=tuple(run.tasks),
        missing=tuple(run.missing),
        encoded=getattr(scored, "encoded", None),
        from_cache=getattr(scored, "found", None),
        output=str(run.output),
        seconds=round(time.perf_counter() - started, 3),
    )


class _Run:
    """Scores the tasks one after another; those without texts are missing."""

    def __init__(
        self, encoder: TextEncoder, data_dir: Path | None, output: Path, seeds: Sequence[int]
    ) -> None:
        from lastword.evaluation.benchmark.finished import ResultFolder
        from lastword.evaluation.benchmark.scoring import Texts

        self.encoder, self.seeds, self.output = encoder, seeds, output
        self.texts = Texts(data_dir)
        self.folder = ResultFolder(output, encoder)
        self.tasks: list[TaskScore] = []
        self.missing: list[MissingTask] = []

    def score_all(self, names: Sequence[str]) -> None:
        from lastword.evaluation.benchmark.scoring import make_task

        tasks = {name: make_task(name, self.seeds[0]) for name in names}  # all of them, before any work
        costs_left = {name: _cost(task) for name, task in tasks.items()}
        seconds = cost_done = 0.0
        for number, (name, task) in enumerate(tasks.items(), 1):
            started = time.monotonic()
            try:
                rows, computed = self._score(name)
            except MissingDataError as error:
                self._miss(task, None, str(error))
                rows, computed = [], False
            cost = costs_left.pop(name)
            if computed:
                seconds, cost_done = seconds + time.monotonic() - started, cost_done + cost
            left = seconds / cost_done * sum(costs_left.values()) if cost_done else None
            self._log(f"[{number}/{len(tasks)}] {name}", rows, left)
            self.tasks += rows
            for subset in task.hf_subsets if rows else []:
                if subset not in {row.subset for row in rows}:
                    self._miss(task, subset, "the local copy does not hold it")

    def _score(self, name: str) -> tuple[list[TaskScore], bool]:
        """Scores of a task's subsets, and whether anything had to be computed."""
        from lastword.evaluation.benchmark.finished import FinishedTask
        from lastword.evaluation.benchmark.scoring import make_task, score

        by_seed: list[FinishedTask] = []
        computed = False
        for seed in self.seeds:
            task = make_task(name, seed)
            copy = self.texts.hash_of(task)
            finished = self.folder.read(task, seed, copy)
            if finished is None:
                verdict = self.texts.load(task)
                started = time.monotonic()
                subsets, scores = score(task, self.encoder, seed)
                finished, computed = FinishedTask(tuple(subsets), copy, verdict), True
                self.folder.write(task, seed, finished, scores, time.monotonic() - started)
            by_seed.append(finished)
        verdict, splits = by_seed[0].verdict, tuple(task.eval_splits)
        rows = []
        for subset in zip(*(finished.subsets for finished in by_seed), strict=True):
            seeds = tuple(row.score for row in subset)
            rows.append(TaskScore(name, subset[0].subset, subset[0].documents, verdict, splits, seeds))
        return rows, computed

    def _miss(self, task: Any, subset: str | None, reason: str) -> None:
        path, revision = task.metadata.dataset["path"], task.metadata.dataset["revision"]
        how = (
            f"with a network: hf download {path} --repo-type dataset --revision {revision} "
            f"--local-dir DIR/{path}, then data_dir=DIR"
        )
        self.missing.append(MissingTask(task.metadata.name, subset, reason, where_from(task), how))

    def _log(self, task: str, rows: Sequence[TaskScore], seconds_left: float | None) -> None:
        if rows:
            if rows[0].texts != EQUAL:
                warn(f"{rows[0].task}: {rows[0].texts}")
            outcome = f"{100 * statistics.fmean(row.score.value for row in rows):.1f}"
        else:
            outcome = f"missing: {self.missing[-1].reason}"
        left = f"; about {duration(seconds_left)} left" if seconds_left else ""
        info(f"{task} {outcome}{left}")


def _cost(task: Any) -> float:
    """Characters to embed, roughly, from which the time left is estimated."""
    known = task.metadata.descriptive_stats or {}
    cost = 0.0
    for split in task.eval_splits:
        of_split = known.get(split, {})
        subsets = of_split.get("hf_subset_descriptive_stats")
        parts = [subsets[name] for name in task.hf_subsets if name in subsets] if subsets else [of_split]
        for part in parts:
            text = part.get("text_statistics") or {"average_text_length": 200}
            share = getattr(task, "max_fraction_of_documents_to_embed", None) or 1
            cost += part.get("num_samples", 1000) * share * min(text["average_text_length"], 2000)
    return cost or 1.0
