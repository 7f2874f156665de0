"""A series of training runs, each done once: the core of sweeps and comparisons."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lastword.bundled import PATHS
from lastword.config import train_config
from lastword.console import info, progress, warn
from lastword.embedding import Embedder
from lastword.encoder import TextEncoder
from lastword.errors import DivergenceError
from lastword.evaluation import cluster_score
from lastword.evaluation.development import Development, fingerprints
from lastword.experiments.comparison import Comparison, TrainingRun, read_scores
from lastword.experiments.picture import render
from lastword.files.run_folder import RunFolder, fingerprint, write_json
from lastword.files.sources import Source
from lastword.report.page import write_page
from lastword.training import LastStep, Scorer, Selection, Variant, train
from lastword.training.run import load_base
from lastword.uncertainty import Score

EncoderOf = Callable[[Embedder], TextEncoder]


@dataclass(frozen=True)
class PlannedRun:
    """A training run to be done.

    Attributes:
        name: of what is compared: a source of pairs, a combination of settings …
        seed: of the run.
        settings: fields of `TrainConfig`, without the seed.
        facts: what else its result records, as plain values.
        variant: a way of training that differs by more than settings, see `train`.
        encoders: other names under which the same model is scored too → how it encodes texts then.
    """

    name: str
    seed: int
    settings: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    variant: Variant | None = None
    encoders: Mapping[str, EncoderOf] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Name of its files."""
        return f"{safe_name(self.name)}-{self.seed}"


def run_series(
    folder: RunFolder,
    settings: Mapping[str, Any],
    plan: Callable[[Path], Sequence[PlannedRun]],
    development: Development,
    *,
    subject: str,
    record: Mapping[str, Any],
    files: Sequence[Source] = (),
    scorer: Scorer | None = None,
    device: str | None = None,
) -> Comparison:
    """Do every training run that has no result yet, and write `KIND.json` and `KIND.svg`.

    An interrupted run resumes at its last checkpoint. A run whose loss diverges is a result without scores.
    Models are deleted after they are scored.

    Args:
        folder: of the series; its `kind` names the files.
        settings: fields of `TrainConfig` that all runs start from; they decide the model before training.
        plan: gives the runs in order, and writes what they read into the folder that it gets.
        development: name → (texts, labels) that the models are scored on.
        subject: what is compared: "source", "settings" …
        record: every setting that decides the result; a resumed series must have the same.
        files: files and models that the runs read, whose content must be the same too.
        scorer: chooses the checkpoint of each run; None takes the last step.
        device: None is the best available one.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    inputs = fingerprints(development) | {
        str(file): fingerprint(PATHS.get(str(file), file)) for file in files
    }
    with folder.open(record, inputs):
        samples = folder.partial / "inputs"
        samples.mkdir(exist_ok=True)
        planned = plan(samples)
        base = read_scores(folder.once("base", partial(_score_base, settings, development, device)))
        runs, base_scores = list[TrainingRun](), dict[str, Score]()
        known = {run.file_name for run in planned if folder.has(run.file_name)}
        with progress("training runs", len(planned), step=1, done=len(known)) as advance:
            for run in planned:
                args = (folder.partial, run, development, scorer or LastStep(), base_scores, device)
                work = partial(_train_and_score, *args)
                results = [TrainingRun.from_dict(row) for row in folder.once(run.file_name, work)]
                if scores := results[0].scores.values():
                    info(f"{run.name}, seed {run.seed}: {100 * fmean(score.value for score in scores):.1f}")
                runs += results
                advance(run.file_name not in known)
        comparison = Comparison(tuple(runs), base, record, subject)
        shutil.rmtree(samples)
        write_page(folder.partial / f"{folder.kind}.svg", render(comparison))
        write_json(folder.partial / f"{folder.kind}.json", comparison.to_dict())
        folder.finish(folder.partial)
    return comparison


def safe_name(name: str) -> str:
    """A file name for a variant: its safe characters, and a hash of all of them."""
    letters = re.sub(r"[^\w.=+-]+", "_", name)[:60]
    return f"{letters}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _score_base(
    settings: Mapping[str, Any], development: Development, device: str | None
) -> dict[str, dict[str, Any]]:
    """Set → score of the model before training."""
    embedder = load_base(train_config(dict(settings)), device)
    return {name: score.to_dict() for name, score in scores_of(embedder, development).items()}


def scores_of(encoder: TextEncoder, development: Development) -> dict[str, Score]:
    """Set → V-measure."""
    return {name: cluster_score(encoder, texts, labels) for name, (texts, labels) in development.items()}


def _train_and_score(
    partial_folder: Path,
    run: PlannedRun,
    development: Development,
    scorer: Scorer | LastStep,
    base_scores: dict[str, Score],
    device: str | None,
) -> list[dict[str, Any]]:
    """The results of a run: scores under its own name, then those of its other encoders."""
    model = partial_folder / f"{run.file_name}.model"
    if not model.exists():  # otherwise the series was interrupted between training and scoring
        try:
            train(
                model, scorer=scorer, variant=run.variant, base_scores=base_scores, resume=True, trackers="none",
                device=device, **{**run.settings, "seed": run.seed},
            )  # fmt: skip
        except DivergenceError as error:
            warn(f"{run.name}, seed {run.seed}: {error}")
            shutil.rmtree(model.with_name(f"{model.name}.partial"))
            facts = {**run.facts, "diverged": str(error)}
            return [TrainingRun(run.name, run.seed, None, {}, facts).to_dict()]
    step = Selection.read(model / "training").step
    embedder = Embedder.from_pretrained(model, dtype=run.settings.get("dtype"), device=device)
    encoders: dict[str, TextEncoder] = {run.name: embedder}
    encoders |= {name: encoder_of(embedder) for name, encoder_of in run.encoders.items()}
    results = [
        TrainingRun(name, run.seed, step, scores_of(encoder, development), run.facts).to_dict()
        for name, encoder in encoders.items()
    ]
    shutil.rmtree(model)
    return results
