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
    """Say how long the cells without training and the training runs of the first model will take.

    Args:
        runner: knows the cells; those that are finished cost nothing.
        suites: table → what it is scored on.
        runs: training runs that are left.
    """
    model = next(iter(runner.scale.models.values()))
    speed = 0.0
    for suite in {suite.kind: suite for suite in suites.values()}.values():
        ways = runner.untrained.get((suite.kind, model), {})
        left = [way for name, way in ways.items() if not runner.finished(name)]
        texts = suite.known_texts() if left or (runs and not speed) else []
        if not texts:
            continue
        embedder = runner.base(model).embedder
        speed = speed or _speed(embedder, texts)
        if left:
            info(f"{suite.kind}, {model}: {_cells(embedder, left, texts, speed, suite)}")
    if runs and speed:
        settings = {**read_recipe(runner.scale.recipe), **runner.scale.settings}
        tokens = (
            settings["steps"] * settings["batch_pairs"] * settings["max_tokens"]
        )  # of two texts, half as long
        info(f"{runs} training runs: about {duration(tokens * _PASSES / speed)} each, without scoring")


def _cells(embedder: Embedder, left: Sequence[Way], texts: Sequence[str], speed: float, suite: Suite) -> str:
    tokens, sets = _tokens(embedder, left, texts) * len(texts), len(suite.names)
    clusterings = suite.kind in ("clustering", "eight")
    most = (
        "about" if clusterings else "at most"
    )  # of the training texts, only those that are drawn are embedded
    message = f"{len(left)} cells before training, {most} {tokens:,.0f} tokens at {speed:,.0f} a second"
    seconds = tokens / speed
    if clusterings:
        of_one = _seconds_to_score(embedder.dim, len(texts) // sets)
        seconds += len(left) * sets * of_one
        message += f" and {len(left) * sets:,} clusterings of {of_one:.1f} s"
    return f"{message}: {most} {duration(seconds)}"


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
        k_means(vectors[: 2 * _GROUPS], _GROUPS, 0, 512)  # the first call also loads scikit-learn
        for times, rows in parts.items():
            started = time.perf_counter()
            k_means(rows, _GROUPS, 0, 512)
            seconds += times * (time.perf_counter() - started)
    return seconds
