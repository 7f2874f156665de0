"""What mteb clusters and classifies, recorded while it does so: the replicates of a score are made of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import mteb.abstasks.clustering as fast_clustering
import numpy as np
from sklearn.base import clone

from lastword.evaluation.benchmark.mteb_model import MtebModel
from lastword.evaluation.clustering import clusters_score, half_v_measures, k_means
from lastword.evaluation.labels import coded
from lastword.uncertainty import Score

LEGACY_STARTS = 10
_LEGACY_BATCH = 500


@dataclass(frozen=True)
class Clustering:
    """One set of texts at one level of labels, as mteb clustered it.

    Attributes:
        vectors: (n, dim).
        codes: (n,) labels as numbers.
        draws: rows and clusters of each draw.
        mean_of: how many of the draws mteb's value is the mean of.
    """

    vectors: np.ndarray
    codes: np.ndarray
    draws: list[tuple[np.ndarray, np.ndarray]]
    mean_of: int

    def score(self, protocol: list[object]) -> Score:
        """The score; `protocol` is task, seed and whatever else the draws depend on."""
        halved = half_v_measures(self.vectors, self.codes)
        return clusters_score(self.codes, self.draws, halved, protocol, self.mean_of)


@dataclass
class Recording:
    """What one evaluation computed: clusterings, or labels and predictions of the test texts, (n,) each."""

    clusterings: list[Clustering] = field(default_factory=list)
    experiments: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)


@contextmanager
def recorded(task: Any, model: MtebModel, seed: int) -> Iterator[Recording]:
    """Record one evaluation of a clustering, legacy clustering or classification, without changing a number of it."""
    recording = Recording()
    evaluate = fast_clustering._evaluate_clustering_bootstrapped
    fast_clustering._evaluate_clustering_bootstrapped = _fast(evaluate, recording)
    present: dict[str, Callable[..., Any]] = {}
    if hasattr(task, "_compute_metrics"):
        present["_compute_metrics"] = _legacy(task._compute_metrics, model, seed, recording)
    if hasattr(task, "_calculate_scores"):
        present["_calculate_scores"] = _classification(task._calculate_scores, recording)
    if hasattr(task, "evaluator_model"):  # mteb's is shared by all tasks, seed included
        task.evaluator_model = clone(task.evaluator_model)
    vars(task).update(present)
    try:
        yield recording
    finally:
        fast_clustering._evaluate_clustering_bootstrapped = evaluate
        for name in present:
            delattr(task, name)


def _fast(call: Callable[..., Any], recording: Recording) -> Callable[..., Any]:
    """Record each level of labels of a clustering, its bootstraps drawn again from the same state."""

    def record(embeddings: np.ndarray, labels: list[list[Any]], **settings: Any) -> Any:
        draw = random.Random()
        draw.setstate(settings["rng_state"].getstate())
        scores, clusters = call(embeddings, labels, **settings)
        for level, assigned in enumerate(clusters.values()):
            # As mteb does it: a missing label counts as one where labels are text, else the text is left out.
            names = np.array([levels[level] if len(levels) > level else -1 for levels in labels])
            rows = np.flatnonzero([name != -1 for name in names])
            draws = [
                (np.array(draw.choices(range(len(rows)), k=settings["cluster_size"])), np.array(cluster_of))
                for cluster_of in assigned
            ]
            recording.clusterings.append(
                Clustering(np.asarray(embeddings)[rows], coded(names[rows].tolist()), draws, len(draws))
            )
        return scores, clusters

    return record


def _legacy(
    call: Callable[..., Any], model: MtebModel, seed: int, recording: Recording
) -> Callable[..., Any]:
    """Record each set of a legacy clustering, which mteb clusters once, and cluster it from nine other starts."""

    def record(labels: list[Any], clusters: list[int], **settings: Any) -> Any:
        codes, rows, count = coded(labels), np.arange(len(labels)), len(set(labels))
        others = [
            k_means(model.vectors, count, seed + start, _LEGACY_BATCH) for start in range(1, LEGACY_STARTS)
        ]
        draws = [(rows, cluster_of) for cluster_of in (np.array(clusters), *others)]
        recording.clusterings.append(Clustering(model.vectors, codes, draws, mean_of=1))
        return call(labels, clusters, **settings)

    return record


def _classification(call: Callable[..., Any], recording: Recording) -> Callable[..., Any]:
    """Record each experiment of a classification."""

    def record(labels: Any, predicted: Any) -> Any:
        # mteb hands over a lazy column, which scikit-learn reads 26 times, cell by cell: most of the time spent.
        labels = np.array(labels)
        recording.experiments.append((labels, np.array(predicted)))
        return call(labels, predicted)

    return record
