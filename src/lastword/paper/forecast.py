"""What measuring will cost, logged before it begins, from the speed of this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from lastword.config import read_recipe
from lastword.console import duration, info
from lastword.embedding import Embedder
from lastword.embedding.grid import GridAxes, families
from lastword.embedding.pooling import Pooling
from lastword.embedding.template import Template
from lastword.evaluation.clustering import BOOTSTRAP_SIZE, STARTS, k_means, one_thread
from lastword.paper.cells import CellRunner
from lastword.paper.suites import Suite
from lastword.paper.untrained import Way
from lastword.uncertainty import HALVES

_TIMED_TEXTS = 32
_BOOTSTRAPS = 10
_GROUPS = 20  # clusters in the k-means that is timed
_PASSES = 4  # forward passes that a step of training costs for each text: forward twice, backward as two


def log_forecast(runner: CellRunner, suites: Mapping[str, Suite], runs: int) -> None:
    """Say how long the cells without training and the training runs will take.

    Args:
        runner: knows the cells; those that are finished cost nothing.
        suites: table → what it is scored on.
        runs: training runs that are left.
    """
    by_kind = {suite.kind: suite for suite in suites.values()}
    for (kind, model), ways in runner.untrained.items():
        left = [way for name, way in ways.items() if not runner.finished(name)]
        texts = by_kind[kind].known_texts()
        if not left or not texts:
            continue
        embedder = runner.base(model).embedder
        speed, per_text = _speed(embedder, texts), _tokens(embedder, left, texts)
        tokens, sets = per_text * len(texts), len(left) * len(by_kind[kind].names)
        score_s = _seconds_to_score(embedder.dim, len(texts) // len(by_kind[kind].names))
        info(
            f"{kind}, {model}: {len(left)} cells before training, about {tokens:,.0f} tokens at {speed:,.0f} a second "
            f"and {sets:,} clusterings of {score_s:.1f} s: about {duration(tokens / speed + sets * score_s)}"
        )
        if runs and model in runner.scale.models.values():
            settings = {**read_recipe(runner.scale.recipe), **runner.scale.settings}
            seen = settings["steps"] * settings["batch_pairs"] * 2 * settings["max_tokens"] / 2 * _PASSES
            info(f"{runs} training runs: about {duration(seen / speed)} each")
            runs = 0


def _speed(embedder: Embedder, texts: Sequence[str]) -> float:
    """Tokens a second of this model here."""
    few = list(texts[:_TIMED_TEXTS])
    tokens = sum(map(len, embedder.pipeline.tokenize(few).ids))
    embedder.encode(few[:2])  # the first call also prepares
    started = time.perf_counter()
    embedder.encode(few)
    return tokens / max(time.perf_counter() - started, 1e-6)


def _tokens(embedder: Embedder, ways: Sequence[Way], texts: Sequence[str]) -> float:
    """Tokens that the passes for all ways compute for a text, on average."""
    axes = GridAxes(
        [Template.parse(template) for template in dict.fromkeys(way.template for way in ways)],
        [Pooling.parse(pooling) for pooling in dict.fromkeys(way.pooling for way in ways)],
        [embedder.backbone.layers],
    )
    few = texts[:: max(1, len(texts) // _TIMED_TEXTS)]
    text = sum(map(len, embedder.pipeline.tokenizer.text_ids(list(few)))) / len(few)
    return sum(len(family.prefix) + text + len(family.tree) for family in families(embedder.pipeline, axes))


def _seconds_to_score(dim: int, n: int) -> float:
    """Time to cluster a set of n texts as the protocol does, and halves of it for the error."""
    vectors = np.random.default_rng(0).normal(size=(max(n, 2 * _GROUPS), dim)).astype(np.float32)
    parts = {
        _BOOTSTRAPS: np.resize(vectors, (BOOTSTRAP_SIZE, dim)),
        HALVES * STARTS: vectors[: len(vectors) // 2],
    }
    seconds = 0.0
    with one_thread():
        for times, rows in parts.items():
            started = time.perf_counter()
            k_means(rows, _GROUPS, 0, 512)
            seconds += times * (time.perf_counter() - started)
    return seconds
