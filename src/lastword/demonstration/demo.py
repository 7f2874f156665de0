"""The verb: score a model, adapt it on the bundled pairs, score it again, and write a report."""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace as replace_fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lastword.arguments import as_path
from lastword.bundled import check_model, path_of
from lastword.config import TrainConfig, read_recipe, recipe_for, train_config
from lastword.console import info
from lastword.demonstration.flat_map import flat_map
from lastword.demonstration.report import render
from lastword.demonstration.result import AttentionPair, DemoResult, ScoreRow, TextMap, TrainingRun
from lastword.embedding import Embedder
from lastword.embedding.memory import peak_memory_mb
from lastword.embedding.pooling import Pooling
from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import RequestError
from lastword.evaluation import ClusterScorer, cluster_score, vectors_cluster_score
from lastword.explanation import token_attention
from lastword.files.inputs import LabelledTexts
from lastword.files.run_folder import RunFolder, write_json
from lastword.report.page import write_page
from lastword.training import Selection, Standard, train
from lastword.training.checkpoints import Checkpoints
from lastword.training.pairs import pair_files
from lastword.training.run import load_base
from lastword.training.settings import check_settings
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
    model: str = "mini",
    seeds: int | None = None,
    recipe: str | Path | None = None,
    max_texts: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> DemoResult:
    """Adapt a model on the bundled pairs; score it before and after on the bundled topics and products.

    Writes `output` with the adapted model (of the first seed) in `model/`, `scores.json` and `report.html`.

    Args:
        output: folder to write.
        model: "mini" (five minutes on two cores) or "smollm2" (half an hour).
        seeds: number of training runs; their spread is part of the error. None is 3 of "mini" and 1 of "smollm2".
        recipe: settings of the training runs, by name or file; replaces those for `model`.
        max_texts: score on a fixed sample of at most this many texts of each set; None uses all.
        resume: continue an interrupted demo with the same settings.
        overwrite: replace `output`.

    Returns:
        All scores, with the values of each draw and seed; `to_dict()` is the content of scores.json.

    Raises:
        ExistingOutputError: `output` exists.
        RequestError: an unknown model, `seeds` or `max_texts` is less than 1, or the recipe is invalid.
        MissingFileError: the weights of the model are not there.
    """
    started, output = time.perf_counter(), as_path("output", output)
    recipe = recipe or recipe_for(model)
    if seeds is not None and seeds < 1:
        raise RequestError(f"seeds={seeds}: give 1 or more")
    seeds = seeds or (3 if model == "mini" else 1)
    folder = RunFolder(output, "demo", resume, overwrite)
    folder.check()
    settings = read_recipe(recipe)
    config = train_config(settings)
    check_model(config.model)
    check_settings(config)
    test, development = (_read(split, max_texts) for split in ("test", "dev"))
    with folder.open({**settings, "max_texts": max_texts}) as work:
        info(f"1 of 3  scoring {config.model} as it is, and TF-IDF")
        rows = _rows(folder, "zero-shot", partial(zero_shot_rows, config, test)) + tfidf_rows(test)
        info("2 of 3  " + ("1 training run" if seeds == 1 else f"{seeds} training runs"))
        models = _train(work, settings, development, seeds)
        info("3 of 3  scoring the adapted models and writing the report")
        rows += _rows(folder, f"adapted-{seeds}", partial(adapted_rows, models, config, test))
        seconds = time.perf_counter() - started
        result = _result(output, config, models, test, rows, seconds)
        finished = work / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir()
        shutil.copytree(models[0], finished / "model")
        write_page(finished / "report.html", render(result))
        write_json(finished / "scores.json", result.to_dict())
        folder.finish(finished)
    return result


def _result(
    output: Path,
    config: TrainConfig,
    models: Sequence[Path],
    test: dict[str, LabelledTexts],
    rows: list[ScoreRow],
    seconds: float,
) -> DemoResult:
    """The result, with the map of the texts that improved most."""
    result = DemoResult(
        output=output,
        model=config.model,
        template=config.template,
        pooling=Pooling.parse(config.pooling).spec,
        layer=config.layer,
        steps=config.steps,
        pairs=len(Standard().read(pair_files(config), drop_empty=False, graded=config.graded)),
        seconds=round(seconds, 1),
        peak_memory_mb=peak_memory_mb(),
        threads=torch.get_num_threads(),
        versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        scores=rows,
        runs=[
            TrainingRun(seed, Checkpoints(record).losses(), Selection.read(record))
            for seed, record in enumerate(model / "training" for model in models)
        ],
    )
    zero_shot = [comparison for comparison in result.comparisons if comparison.second.model == "zero-shot"]
    improved = max(zero_shot, key=lambda comparison: comparison.difference.value).first.dataset
    text_map, attention = _before_and_after(models[0], config, improved, test[improved])
    return replace_fields(result, text_map=text_map, attention=attention)


def zero_shot_rows(config: TrainConfig, test: dict[str, LabelledTexts]) -> list[ScoreRow]:
    """Score the base model with every template, pooling and layer: the last, and the one that is trained.

    A pooling with weights is left out: the base model has none.
    """
    trained = Pooling.parse(config.pooling)
    poolings = dict.fromkeys([*ZERO_SHOT_POOLINGS, *([] if trained.trainable else [trained.spec])])
    rows, base = [], load_base(replace_fields(config, pooling=ZERO_SHOT_POOLINGS[0], layer=None))
    layers = {layer or base.backbone.layers: layer for layer in (None, config.layer)}
    for name, data in test.items():
        grid = base.encode_grid(data.texts, ZERO_SHOT_TEMPLATES, list(poolings), list(layers))
        for point, vectors in grid.items():
            score, layer = vectors_cluster_score(vectors, data.labels), layers[point.layer]
            rows.append(ScoreRow(name, "test", "zero-shot", point.template, point.pooling, (score,), layer))
    return rows


def tfidf_rows(test: dict[str, LabelledTexts]) -> list[ScoreRow]:
    """Score the TF-IDF baseline."""
    return [
        ScoreRow(name, "test", "tfidf", None, None, (cluster_score(TfidfEncoder(), data.texts, data.labels),))
        for name, data in test.items()
    ]


def adapted_rows(
    models: Sequence[Path], config: TrainConfig, test: dict[str, LabelledTexts]
) -> list[ScoreRow]:
    """Score the model of every seed; a row has the scores of all seeds."""
    scores: dict[tuple[str, str], list[Score]] = {}
    poolings = dict.fromkeys([*ADAPTED_POOLINGS, Pooling.parse(config.pooling).spec])
    for model in models:
        embedder = Embedder.from_pretrained(model, dtype=config.dtype)
        for name, data in test.items():
            for pooling, vectors in embedder.encode_poolings(data.texts, list(poolings)).items():
                scores.setdefault((name, pooling), []).append(vectors_cluster_score(vectors, data.labels))
    return [
        ScoreRow(name, "test", "adapted", config.template, pooling, tuple(of_seeds), config.layer)
        for (name, pooling), of_seeds in scores.items()
    ]


def _train(
    folder: Path, settings: dict[str, Any], development: dict[str, LabelledTexts], seeds: int
) -> list[Path]:
    """The adapted model of each seed; the model before training is scored once for all."""
    sets = {f"{name} (dev)": (data.texts, data.labels) for name, data in development.items()}
    scorer = ClusterScorer(sets)
    base_scores: dict[str, Score] = {}
    models = [folder / f"seed-{seed}" for seed in range(seeds)]
    for seed, model in enumerate(models):
        if not model.exists():
            train(
                model, scorer=scorer, base_scores=base_scores, resume=True, trackers="none",
                **settings | {"seed": seed},
            )  # fmt: skip
    return models


def _rows(folder: RunFolder, name: str, work: Callable[[], list[ScoreRow]]) -> list[ScoreRow]:
    """The rows that `work` gives; a resumed demo reads them."""
    return [ScoreRow.from_dict(row) for row in folder.once(name, lambda: [row.to_dict() for row in work()])]


def _before_and_after(
    adapted: Path, config: TrainConfig, dataset: str, data: LabelledTexts
) -> tuple[TextMap, AttentionPair]:
    """Maps of the texts, and attention in one sentence, of the base model and the adapted model."""
    template, pooling = config.template, config.pooling
    before = load_base(config)
    after = Embedder.from_pretrained(adapted, dtype=config.dtype)
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
