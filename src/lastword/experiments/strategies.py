"""Strategies that make a decoder an embedder, side by side on one model, the same texts and the same budget.

Source: the survey arXiv:2412.12591; that of each strategy is in `strategies.toml`.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lastword.arguments import as_path
from lastword.bundled import PATHS
from lastword.config import read_recipe, train_config
from lastword.console import info, progress
from lastword.errors import RequestError, WorkError
from lastword.evaluation.development import (
    BUNDLED_DEVELOPMENT,
    Development,
    fingerprints,
    read_development,
)
from lastword.experiments.catalogue import VECTORS, Strategy, chosen, read_strategies
from lastword.experiments.comparison import TrainingRun
from lastword.experiments.strategy_page import render
from lastword.experiments.strategy_result import BASE, TRAINED_BASE, StrategyComparison
from lastword.files.run_folder import RunFolder, fingerprint, write_json
from lastword.report.page import write_page
from lastword.training.settings import check_base, check_settings

_TEXTS, _WORK = "texts.json", "work"


@dataclass(frozen=True)
class _Job:
    """What one process measures: a model, and the names under which it is scored → what is done with its vectors."""

    name: str
    seed: int
    trained: bool
    settings: Mapping[str, Any]
    vectors: Mapping[str, str | None]


def compare_strategies(
    recipe: str | Path,
    output: str | Path,
    *,
    strategies: Sequence[str] = (),
    catalogue: str | Path | None = None,
    development: Development | Sequence[str] = BUNDLED_DEVELOPMENT,
    seeds: int = 3,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    **settings: Any,
) -> StrategyComparison:
    """Score strategies on the same texts, each against the recipe as it is.

    A strategy changes one thing. Those that need no training are compared with the recipe's model before training,
    the others with the model that the recipe trains: with the same steps and batch, scored after the last step.
    Each model runs in a process of its own, so that its time and memory are its own.

    Args:
        recipe: "mini", "small", "paper" or a TOML file: the model, the base and the budget.
        output: folder for `strategies.json` and `strategies.html`; unfinished work is in `OUTPUT.partial`.
        strategies: names of strategies or groups; none are all.
        catalogue: TOML file of strategies; None is the one that comes with lastword.
        development: labelled texts, as files with a split ("labelled.csv:dev") or as name → (texts, labels).
        seeds: training runs of each strategy that is trained.
        resume: continue an interrupted comparison of the same settings.
        overwrite: replace `output`.
        device: None is the best available one.
        **settings: fields of `TrainConfig` that replace those of the recipe, without `seed`.

    Raises:
        ExistingOutputError, MissingFileError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 1:
        raise RequestError(f"seeds={seeds}: give 1 or more")
    base = {key: value for key, value in {**read_recipe(recipe), **settings}.items() if key != "seed"}
    resolved = train_config(base).to_dict()
    compared = chosen(read_strategies(catalogue), strategies)
    for strategy in compared.values():
        check = check_settings if strategy.trained else check_base
        check(train_config({**base, **strategy.changes(resolved["model"])}))
    folder = RunFolder(as_path("output", output), "strategies", resume, overwrite)
    folder.check(recipe, catalogue, list(resolved.values()))
    sets = development if isinstance(development, Mapping) else read_development(development)
    record = {
        **resolved,
        "seeds": seeds,
        "compared": {name: dict(s.settings) for name, s in compared.items()},
    }
    files = dict.fromkeys([resolved["model"], *resolved["pairs"]])
    inputs = fingerprints(sets) | {str(file): fingerprint(PATHS.get(str(file), file)) for file in files}
    with folder.open(record, inputs):
        write_json(folder.partial / _TEXTS, {name: [*map(list, data)] for name, data in sets.items()})
        runs = _measured(folder, list(_jobs(base, compared, seeds)), device)
        result = StrategyComparison(runs, compared, record)
        (folder.partial / _TEXTS).unlink()
        write_page(folder.partial / "strategies.html", render(result))
        write_json(folder.partial / "strategies.json", result.to_dict())
        folder.finish(folder.partial)
    return result


def _jobs(base: Mapping[str, Any], compared: Mapping[str, Strategy], seeds: int) -> Sequence[_Job]:
    """The bases that strategies are compared with, then each strategy."""
    vectors = {name: str(each.settings[VECTORS]) for name, each in compared.items() if each.group == VECTORS}
    jobs = []
    if any(not each.trained for each in compared.values()):
        jobs.append(_Job(BASE, 0, False, base, {BASE: None}))
    if any(each.trained for each in compared.values()):
        names = {TRAINED_BASE: None, **vectors}
        jobs += [_Job(TRAINED_BASE, seed, True, base, names) for seed in range(seeds)]
    for name, each in compared.items():
        if each.group != VECTORS:
            settings = {**base, **each.changes(train_config(dict(base)).model)}
            repeats = range(seeds if each.trained else 1)
            jobs += [_Job(name, seed, each.trained, settings, {name: None}) for seed in repeats]
    return jobs


def _measured(folder: RunFolder, jobs: Sequence[_Job], device: str | None) -> list[TrainingRun]:
    runs: list[TrainingRun] = []
    names = [f"job-{number:03}" for number in range(len(jobs))]
    known = {name for name in names if folder.has(name)}
    with progress("strategies", len(jobs), step=1, done=len(known)) as advance:
        for name, job in zip(names, jobs, strict=True):
            work = partial(_in_own_process, folder.partial, job, device)
            results = [TrainingRun.from_dict(row) for row in folder.once(name, work)]
            for run in results:
                scores = [100 * score.value for score in run.scores.values()]
                seed = f", seed {run.seed}" if job.trained else ""
                info(f"{run.name}{seed}: {f'{fmean(scores):.1f}' if scores else 'diverged'}")
            runs += results
            advance(name not in known)
    return runs


def _in_own_process(folder: Path, job: _Job, device: str | None) -> list[dict[str, Any]]:
    """Measure in a process of its own; it ends when this one does, since its standard input is then closed."""
    work = folder / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    request, result = work / "request.json", work / "result.json"
    write_json(request, {**dataclasses.asdict(job), "device": device, "texts": str(folder / _TEXTS)})
    command = [sys.executable, "-m", "lastword.experiments.measuring", str(request), str(result)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        code = process.wait()
    if not result.exists():
        raise WorkError(
            f"{job.name}: its process ended with code {code} and without a result; resume to try again"
        )
    content = json.loads(result.read_text(encoding="utf-8"))
    shutil.rmtree(work)
    if "error" in content:
        raise RequestError(f"{job.name}: {content['error']}")
    rows: list[dict[str, Any]] = content["runs"]
    return rows
