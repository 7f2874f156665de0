"""What an embedder is scored on: MTEB's own tasks, or labelled files at hand under the same protocols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from lastword.embedding import Embedder
from lastword.evaluation import Score, benchmark, evaluate
from lastword.evaluation.benchmark.names import task_names
from lastword.evaluation.labels import SEED

TaskScores = dict[str, dict[str, Any]]
"""Task → score and std (0 … 1), n."""


class Suite(Protocol):
    """Something that scores an embedder."""

    @property
    def name(self) -> str:
        """Part of the names of files that keep its scores."""
        ...

    @property
    def told(self) -> str:
        """What it is, for the report."""
        ...

    @property
    def wanted(self) -> list[str]:
        """Names of the tasks there should be."""
        ...

    @property
    def files(self) -> list[Path]:
        """What it reads by itself, for the manifest."""
        ...

    @property
    def revisions(self) -> dict[str, str]:
        """Task of MTEB → which texts it has, for the manifest."""
        ...

    def score(self, model: Embedder | str) -> TaskScores:
        """Score an embedder, or what `evaluate` knows by a name, on every task that is there."""
        ...


@dataclass(frozen=True)
class TextSet:
    """A labelled file.

    Attributes:
        name: in tables.
        file: in the data folder; without an ending one of the bundled sets.
        label_column: column of the labels.
        split: rows that are scored.
        samples_per_label: training texts of each label; 0 is a clustering.
    """

    name: str
    file: str
    label_column: str = "label"
    split: str | None = None
    samples_per_label: int = 0


BUNDLED = (TextSet("topics", "topics", split="test"), TextSet("products", "products", split="test"))
CLUSTERING = (
    TextSet("SIB200ClusteringS2S", "clustering/sib200_eng.parquet"),
    TextSet("MasakhaNEWSClusteringS2S", "clustering/masakhanews_eng.parquet", split="test"),
    TextSet("Stack Overflow titles", "clustering/stackoverflow_titles.parquet"),
)
EMOTION = TextSet(
    "EmotionClassification", "classification/emotion.parquet", split="test", samples_per_label=16
)
CLASSIFICATION = (
    TextSet("Banking77Classification", "classification/banking77.parquet", split="test", samples_per_label=8),
    EMOTION,
    TextSet(
        "TweetSentimentExtractionClassification", "classification/tweet_sentiment_extraction.parquet",
        split="test", samples_per_label=32,
    ),
    TextSet(
        "AmazonCounterfactualClassification", "classification/amazon_counterfactual_en.parquet",
        split="test", samples_per_label=32,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class LocalSuite:
    """Labelled files.

    Attributes:
        name, told: see `Suite`.
        sets: file → what it is.
        max_texts: most texts of each that are scored, a fixed sample; None takes all.
    """

    name: str
    told: str
    sets: dict[Path, TextSet]
    max_texts: int | None

    @property
    def wanted(self) -> list[str]:
        """See `Suite`."""
        return [one.name for one in self.sets.values()]

    @property
    def files(self) -> list[Path]:
        """See `Suite`."""
        return list(self.sets)

    @property
    def revisions(self) -> dict[str, str]:
        """See `Suite`."""
        return {}

    def score(self, model: Embedder | str) -> TaskScores:
        """See `Suite`."""
        return {one.name: self._score(model, path, one) for path, one in self.sets.items()}

    def _score(self, model: Embedder | str, path: Path, one: TextSet) -> dict[str, Any]:
        task: dict[str, Any] = {"task": "clustering"}
        if one.samples_per_label:
            task = {"task": "classification", "samples_per_label": one.samples_per_label}
        found = evaluate(
            model, path, label_column=one.label_column, split=one.split, max_texts=self.max_texts, **task
        )
        score = found.models[0].score
        return {"score": score.value, "std": float(np.std(score.draws)), "n": score.n}


@dataclass(frozen=True)
class TaskSuite:
    """Tasks of MTEB.

    Attributes:
        name, told: see `Suite`.
        tasks: names of the tasks.
        data: folder with local copies of their texts, or None for the Hub.
    """

    name: str
    told: str
    tasks: tuple[str, ...]
    data: Path | None

    @property
    def wanted(self) -> list[str]:
        """See `Suite`."""
        return list(self.tasks)

    @property
    def files(self) -> list[Path]:
        """See `Suite`."""
        return []

    @property
    def revisions(self) -> dict[str, str]:
        """See `Suite`."""
        from lastword.evaluation.benchmark.scoring import Texts, make_task  # they import mteb, for seconds

        texts = Texts(self.data)
        return {name: texts.origin_of(make_task(name, SEED)) for name in self.tasks}

    def score(self, model: Embedder | str) -> TaskScores:
        """See `Suite`; subsets of a task count as its mean does in MTEB."""
        found = benchmark(model, self.tasks, data_dir=self.data)
        rows: dict[str, list[Score]] = {}
        for row in found.tasks:
            rows.setdefault(row.task, []).append(row.score)
        return {
            task: {
                "score": fmean(score.value for score in subsets),
                "std": sum(float(np.var(score.draws)) for score in subsets) ** 0.5 / len(subsets),
                "n": sum(score.n for score in subsets),
            }
            for task, subsets in rows.items()
        }


def task_suite(kind: str, data: Path | None) -> TaskSuite:
    """The paper's tasks of a kind: "clustering", "classification" or "emotion"."""
    lists = {"clustering": "paper-clustering", "classification": "paper-classification"}
    names = task_names(lists[kind]) if kind in lists else [EMOTION.name]
    told = f"MTEB's own tasks ({len(names)})"
    return TaskSuite(f"tasks-{kind}", told, tuple(names), data)


def local_suite(kind: str, data: Path | None, max_texts: int | None) -> LocalSuite | None:
    """The sets of a kind that are there: "clustering", "classification" or "emotion".

    Returns:
        None if there is not one. Clustering has the bundled sets where there is no folder of others.
    """
    wanted = {"clustering": CLUSTERING, "classification": CLASSIFICATION, "emotion": (EMOTION,)}[kind]
    found = {data / one.file: one for one in wanted if data and (data / one.file).is_file()}
    if not found and kind == "clustering":
        found = {Path(one.file): one for one in BUNDLED}
    if not found:
        return None
    most = f", at most {max_texts:,} texts of each" if max_texts else ""
    return LocalSuite(kind, f"{', '.join(one.name for one in found.values())}{most}", found, max_texts)
