"""The main job in one call: score the bundled model, adapt it on the bundled pairs, score it again."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lastword import uncertainty
from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.console import info
from lastword.demonstration.summary import write_summary
from lastword.demonstration.table import Row
from lastword.embedding import Embedder
from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import ExistingOutputError, RequestError
from lastword.evaluation import ClusterScorer, Score, cluster_score, vectors_cluster_score
from lastword.files.run_folder import replace
from lastword.files.tables import read_texts
from lastword.training import TrainResult, train

SETS = ("topics", "products")
ZERO_SHOT_TEMPLATES = ("none", "ccw")
ZERO_SHOT_POOLINGS = ("mean", "lasttoken", "eos")
ADAPTED_POOLINGS = ("mean", "lasttoken")


@dataclass(frozen=True)
class Labelled:
    """One bundled set in one split.

    Attributes:
        texts: n texts.
        labels: n labels.
    """

    texts: list[str]
    labels: list[str]


def demo(
    out: str | Path = "lastword-demo", *, seeds: int = 3, recipe: str | Path = "mini", overwrite: bool = False
) -> dict[str, Any]:
    """Adapt the bundled model on the bundled pairs; score it before and after on topics and products.

    Writes `out` with the adapted model (of the first seed) in `model/`, `scores.json` and `report.html`.

    Args:
        out: folder to write.
        seeds: trainings; their spread is part of the noise band.
        recipe: settings of the training.
        overwrite: replace `out`.

    Returns:
        What scores.json holds: "scores" (rows with dataset, split, model, template, pooling, v_measure,
        std), "seconds", "peak_memory_mb", "out".

    Raises:
        ExistingOutputError: `out` exists.
    """
    started, out = time.perf_counter(), Path(out)
    if seeds < 1:
        raise RequestError(f"seeds={seeds}: give 1 or more")
    if out.exists() and not overwrite:
        raise ExistingOutputError(f"{out} exists: give another place or --overwrite")
    work = out.with_name(out.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)  # nothing in it is worth a resume: the whole takes minutes
    work.mkdir(parents=True)

    settings = read_recipe(recipe)
    test, development = (_read(split) for split in ("test", "dev"))
    info(f"1 of 3  scoring {settings['model']} as it is, and TF-IDF")
    rows = zero_shot_rows(settings["model"], test) + tfidf_rows(test)
    info(f"2 of 3  training, {seeds} seeds")
    scorer = ClusterScorer({f"{name} (dev)": (data.texts, data.labels) for name, data in development.items()})
    base_scores: dict[str, uncertainty.Score] = {}
    runs = [
        train(
            work / f"seed-{seed}",
            scorer=scorer,
            base_scores=base_scores,
            trackers="none",
            **{**settings, "seed": seed},
        )
        for seed in range(seeds)
    ]
    info("3 of 3  scoring the adapted models and writing the report")
    rows += adapted_rows(runs, test)
    (work / "seed-0").rename(work / "model")
    for run in runs[1:]:
        shutil.rmtree(run.output)
    result = {
        "scores": rows, "seconds": round(time.perf_counter() - started, 1), "peak_memory_mb": peak_memory_mb(),
        "out": str(out),
    }  # fmt: skip
    write_summary(work, result, runs, settings, test["products"].texts, test["products"].labels)
    (work / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
    replace(work, out)
    return result


def zero_shot_rows(model: str, test: dict[str, Labelled]) -> list[Row]:
    """Score the base model with every template and pooling; all poolings of a template from one pass."""
    rows, base = [], Embedder.from_pretrained(model)
    for template in ZERO_SHOT_TEMPLATES:
        embedder = base.variant(template=template)
        for name, data in test.items():
            for pooling, vectors in embedder.encode_poolings(data.texts, ZERO_SHOT_POOLINGS).items():
                score = vectors_cluster_score(vectors, data.labels)
                rows.append(_row(name, "zero-shot", template, pooling, [score]))
    return rows


def tfidf_rows(test: dict[str, Labelled]) -> list[Row]:
    """Score the baseline that nobody may lose to unnoticed."""
    return [
        _row(name, "tfidf", None, None, [cluster_score(TfidfEncoder(), data.texts, data.labels)])
        for name, data in test.items()
    ]


def adapted_rows(runs: list[TrainResult], test: dict[str, Labelled]) -> list[Row]:
    """Score the model of every seed; a row's band holds the spread over seeds and over k-means."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for run in runs:
        embedder = Embedder.from_pretrained(run.output)
        for name, data in test.items():
            for pooling, vectors in embedder.encode_poolings(data.texts, ADAPTED_POOLINGS).items():
                scores.setdefault((name, pooling), []).append(vectors_cluster_score(vectors, data.labels))
    return [_row(name, "adapted", "ccw", pooling, own) for (name, pooling), own in scores.items()]


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _row(dataset: str, model: str, template: str | None, pooling: str | None, scores: list[Score]) -> Row:
    """Mean over trainings; the band joins the variance over them with the mean variance within them."""
    values = [score.value for score in scores]
    between = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
    within = float(np.mean([np.var(score.draws) for score in scores]))
    return {
        "dataset": dataset, "split": "test", "model": model, "template": template, "pooling": pooling,
        "v_measure": round(float(np.mean(values)), 4), "std": round((between + within) ** 0.5, 4),
    }  # fmt: skip


def _read(split: str) -> dict[str, Labelled]:
    sets = {}
    for name in SETS:
        columns = read_texts(path_of(name), ["text", "label"], where={"split": split})
        sets[name] = Labelled(columns["text"], columns["label"])
    return sets
