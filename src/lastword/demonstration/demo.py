"""The verb: score the bundled model, adapt it on the bundled pairs, score it again, and write a report."""

from __future__ import annotations

import importlib.metadata
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.console import info
from lastword.demonstration.flat_map import flat_map
from lastword.demonstration.report import render
from lastword.demonstration.result import AttentionPair, DemoResult, ScoreRow, TextMap, TrainingRun
from lastword.embedding import Embedder
from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import RequestError
from lastword.evaluation import ClusterScorer, cluster_score, vectors_cluster_score
from lastword.explanation import token_attention
from lastword.files.inputs import LabelledTexts
from lastword.files.run_folder import RunFolder, write_json
from lastword.report.page import write_page
from lastword.training import TrainResult, train
from lastword.uncertainty import Score

SETS = ("topics", "products")
ZERO_SHOT_TEMPLATES = ("none", "ccw")
ZERO_SHOT_POOLINGS = ("mean", "lasttoken", "eos")
ADAPTED_POOLINGS = ("mean", "lasttoken")
SENTENCE = "a man is driving a car"  # of the paper's Figure 1
_PACKAGES = ("lastword", "torch", "transformers", "peft", "mteb", "scikit-learn")


def demo(
    output: str | Path = "lastword-demo",
    *,
    seeds: int = 3,
    recipe: str | Path = "mini",
    max_texts: int | None = None,
    overwrite: bool = False,
) -> DemoResult:
    """Adapt the bundled model on the bundled pairs; score it before and after on topics and products.

    Writes `output` with the adapted model (of the first seed) in `model/`, `scores.json` and `report.html`.

    Args:
        output: folder to write.
        seeds: number of training runs; their spread is part of the error.
        recipe: settings of the training runs, by name or file.
        max_texts: score on a fixed sample of at most this many texts of each set; None uses all.
        overwrite: replace `output`.

    Returns:
        All scores, with the values of each draw and seed; `to_dict()` is the content of scores.json.

    Raises:
        ExistingOutputError: `output` exists.
        RequestError: `seeds` or `max_texts` is less than 1, or the recipe is invalid.
    """
    started, output = time.perf_counter(), Path(output)
    if seeds < 1:
        raise RequestError(f"seeds={seeds}: give 1 or more")
    folder = RunFolder(output, "demo", overwrite=overwrite, evidence="")
    folder.check()
    settings = read_recipe(recipe)
    test, development = (_read(split, max_texts) for split in ("test", "dev"))
    with folder.open(settings) as partial:
        info(f"1 of 3  scoring {settings['model']} as it is, and TF-IDF")
        rows = zero_shot_rows(settings["model"], test) + tfidf_rows(test)
        info(f"2 of 3  {seeds} training runs")
        runs = _train(partial, settings, development, seeds)
        info("3 of 3  scoring the adapted models and writing the report")
        rows += adapted_rows(runs, settings["template"], test)
        finished = partial / "finished"
        finished.mkdir()
        runs[0].output.rename(finished / "model")

        result = DemoResult(
            output=output,
            model=settings["model"],
            template=settings["template"],
            pooling=settings["pooling"],
            steps=settings["steps"],
            pairs=runs[0].plan.pairs,
            seconds=round(time.perf_counter() - started, 1),
            peak_memory_mb=peak_memory_mb(),
            versions={name: importlib.metadata.version(name) for name in _PACKAGES},
            scores=rows,
            runs=[TrainingRun(seed, run.losses, run.selection) for seed, run in enumerate(runs)],
        )
        zero_shot = [
            comparison for comparison in result.comparisons if comparison.second.model == "zero-shot"
        ]
        improved = max(zero_shot, key=lambda comparison: comparison.difference.value).first.dataset
        text_map, attention = _before_and_after(finished / "model", settings, improved, test[improved])
        result = replace_fields(result, text_map=text_map, attention=attention)
        write_page(finished / "report.html", render(result))
        write_json(finished / "scores.json", result.to_dict())
        folder.finish(finished)
    return result


def zero_shot_rows(model: str, test: dict[str, LabelledTexts]) -> list[ScoreRow]:
    """Score the base model with every template and pooling; all poolings of a template from one pass."""
    rows, base = [], Embedder.from_pretrained(model)
    for template in ZERO_SHOT_TEMPLATES:
        embedder = base.variant(template=template)
        for name, data in test.items():
            for pooling, vectors in embedder.encode_poolings(data.texts, ZERO_SHOT_POOLINGS).items():
                score = vectors_cluster_score(vectors, data.labels)
                rows.append(ScoreRow(name, "test", "zero-shot", template, pooling, (score,)))
    return rows


def tfidf_rows(test: dict[str, LabelledTexts]) -> list[ScoreRow]:
    """Score the TF-IDF baseline."""
    return [
        ScoreRow(name, "test", "tfidf", None, None, (cluster_score(TfidfEncoder(), data.texts, data.labels),))
        for name, data in test.items()
    ]


def adapted_rows(
    runs: Sequence[TrainResult], template: str, test: dict[str, LabelledTexts]
) -> list[ScoreRow]:
    """Score the model of every seed; a row has the scores of all seeds."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for run in runs:
        embedder = Embedder.from_pretrained(run.output)
        for name, data in test.items():
            for pooling, vectors in embedder.encode_poolings(data.texts, ADAPTED_POOLINGS).items():
                scores.setdefault((name, pooling), []).append(vectors_cluster_score(vectors, data.labels))
    return [
        ScoreRow(name, "test", "adapted", template, pooling, tuple(of_seeds))
        for (name, pooling), of_seeds in scores.items()
    ]


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _train(
    folder: Path, settings: dict[str, Any], development: dict[str, LabelledTexts], seeds: int
) -> list[TrainResult]:
    """One run for each seed; the model before training is scored once for all."""
    sets = {f"{name} (dev)": (data.texts, data.labels) for name, data in development.items()}
    scorer = ClusterScorer(sets)
    base_scores: dict[str, Score] = {}
    options: dict[str, Any] = {"scorer": scorer, "base_scores": base_scores, "trackers": "none"}
    return [train(folder / f"seed-{seed}", **options, **settings | {"seed": seed}) for seed in range(seeds)]


def _before_and_after(
    adapted: Path, settings: dict[str, Any], dataset: str, data: LabelledTexts
) -> tuple[TextMap, AttentionPair]:
    """Maps of the texts, and attention in one sentence, of the base model and the adapted model."""
    template, pooling = settings["template"], settings["pooling"]
    before = Embedder.from_pretrained(settings["model"], template=template, pooling=pooling)
    after = Embedder.from_pretrained(adapted)
    text_map = TextMap(
        name=f"{dataset}, test split",
        texts=data.texts,
        labels=data.labels,
        before=flat_map(before.encode(data.texts)),
        after=flat_map(after.encode(data.texts)),
        before_name=f"zero-shot, {template}, {pooling}",
        after_name=f"adapted, {template}, {pooling}",
    )
    attention = (token_attention(embedder, SENTENCE) for embedder in (before, after))
    return text_map, AttentionPair(SENTENCE, *attention)


def _read(split: str, max_texts: int | None) -> dict[str, LabelledTexts]:
    sets = {}
    for name in SETS:
        data = LabelledTexts.read(path_of(name), ("text", "label"), split, drop_empty=False)
        sets[name] = data.sample(max_texts, seed=0)
    return sets
