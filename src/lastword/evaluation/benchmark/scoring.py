"""One task of mteb: built, given its texts, and scored by mteb's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import RequestError
from lastword.evaluation.benchmark.copies import hash_copy, load_copy, local_copy
from lastword.evaluation.benchmark.hub import Hub, MissingDataError, where_from
from lastword.evaluation.benchmark.mteb_model import MtebModel, undisturbed
from lastword.evaluation.benchmark.names import LANGUAGE
from lastword.evaluation.benchmark.recording import LEGACY_STARTS, Clustering, recorded
from lastword.evaluation.benchmark.result import SubsetScore
from lastword.evaluation.benchmark.statistics import columns_of, splits_of, verdict
from lastword.evaluation.classification import accuracy_score, independent_draws
from lastword.uncertainty import Score, combine

_MANY_TEXTS = 200_000  # training texts of which draws share next to none
_DATA_LOADING = {"batch_size": 1024, "show_progress_bar": False}  # the encoder makes its own batches


def make_task(name: str, seed: int) -> Any:
    """A task object for one evaluation.

    A second evaluation of the same object draws other documents, since its generator is not reset; so each
    evaluation needs its own object.

    Raises:
        RequestError: the task has no English texts.
    """
    with undisturbed():
        kind = type(mteb.get_task(name))
        try:
            return kind(seed=seed).filter_languages([LANGUAGE])
        except ValueError as error:
            raise RequestError(f"{name} has no English texts") from error


class Texts:
    """Where tasks get their texts: a folder of local copies first, then the Hub."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.hub = folder, Hub()

    def copy_of(self, task: Any) -> Path | None:
        """The local copy of a task, if there is one."""
        return local_copy(task, self.folder) if self.folder else None

    def hash_of(self, task: Any) -> str | None:
        """Hash of the local copy; None for the Hub, whose revision is fixed."""
        copy = self.copy_of(task)
        return hash_copy(copy) if copy else None

    def origin_of(self, task: Any) -> str:
        """Which texts they are: a hash of the local copy, or their path and revision on the Hub."""
        copy = self.hash_of(task)
        return f"local-{copy}" if copy else where_from(task)

    def load(self, task: Any) -> str:
        """Give a task its texts; how they compare with mteb's statistics.

        Raises:
            MissingDataError: they are not available.
        """
        copy = self.copy_of(task)
        with undisturbed():
            if copy:
                load_copy(task, copy)
            else:
                self.hub.load(task)
            return verdict(task)


def score(task: Any, encoder: TextEncoder, seed: int) -> tuple[list[SubsetScore], Mapping[str, Any]]:
    """Score a task that has its texts.

    Returns:
        A score for each subset, and mteb's own: split → subset → name of the score → value.

    Raises:
        MissingDataError: mteb or the model fails on the texts.
    """
    if isinstance(encoder, TfidfEncoder):
        encoder = _fitted(task)
    model = _ThreadedModel(encoder)
    scores: dict[str, dict[str, Any]] = {split: {} for split in task.eval_splits}
    parts: dict[str, list[Score]] = {subset: [] for subset in task.hf_subsets}
    with undisturbed(), threadpool_limits(1):
        try:
            for split in task.eval_splits:
                for subset in task.hf_subsets:
                    result, score = _evaluated(task, model, split, subset, seed)
                    scores[split][subset] = result
                    parts[subset].append(score)
        except (ValueError, KeyError) as error:
            # One data set with a text that is none, or with one label, must not end a benchmark of 48.
            raise MissingDataError(f"its texts cannot be scored ({error})") from error
    documents = {subset: sum(_documents(task, subset, split) for split in scores) for subset in parts}
    return [SubsetScore(name, documents[name], combine(splits)) for name, splits in parts.items()], scores


def _evaluated(
    task: Any, model: MtebModel, split: str, subset: str, seed: int
) -> tuple[Mapping[str, Any], Score]:
    """mteb's scores of one subset in one split, and the score with its replicates."""
    with recorded(task, model, seed) as recording:
        # The seed again: a legacy clustering hands it to k-means from here and not from the task.
        results = task.evaluate(model, split, subsets_to_run=[subset], encode_kwargs=_DATA_LOADING, seed=seed)
    result: Mapping[str, Any] = results[subset]
    protocol: list[object] = [task.metadata.name, subset, split, seed]
    if recording.clusterings:
        score = _clustering(recording.clusterings, result["v_measures"], protocol)
    else:
        train = task.dataset.get(subset, task.dataset)[task.train_split][task.label_column_name]
        worth = independent_draws(list(train), task.samples_per_label) if len(train) < _MANY_TEXTS else None
        score = _classification(recording.experiments, result, task.metadata.main_score, protocol, worth)
    return result, replace(score, value=float(result["main_score"]))


def _clustering(clusterings: list[Clustering], values: Any, protocol: list[object]) -> Score:
    """Mean over the levels of labels, or over the sets of a legacy clustering; `values` are mteb's."""
    parts = [clustering.score([*protocol, number]) for number, clustering in enumerate(clusterings)]
    if isinstance(values, dict):
        return replace(combine(parts), n=parts[0].n)  # levels share their texts
    # mteb does not cluster a set of one label, and counts it as 1.
    halves = tuple((1.0,) for _ in parts[0].resamples)
    draws = (1.0,) * LEGACY_STARTS
    certain = replace(parts[0], value=1.0, draws=draws, resamples=halves, chance=1.0, ami=1.0)
    return combine(parts + [certain] * (len(values) - len(parts)))


def _classification(
    experiments: list[tuple[np.ndarray, np.ndarray]],
    result: Mapping[str, Any],
    metric: str,
    protocol: list[object],
    mean_of: float | None,
) -> Score:
    """Score of mteb's metric; only accuracy has replicates on halves of the texts."""
    correct = np.array([predicted == labels for labels, predicted in experiments])
    score = accuracy_score(correct, experiments[0][0], protocol, mean_of)
    if metric == "accuracy":
        return score
    draws = tuple(float(experiment[metric]) for experiment in result["scores_per_experiment"])
    return replace(score, metric=metric, draws=draws, resamples=(), chance=None)


class _ThreadedModel(MtebModel):
    """Embeds with all threads, where the rest of the task has one; see `clustering.k_means`."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__(encoder)
        self.threads = {library["prefix"]: library["num_threads"] for library in threadpool_info()}

    def encode(self, inputs: Any, **settings: Any) -> np.ndarray:
        with threadpool_limits(self.threads):
            return super().encode(inputs, **settings)


def _fitted(task: Any) -> TfidfEncoder:
    """TF-IDF fitted to all texts of a task, or all training texts of a classification."""
    train = getattr(task, "train_split", None)
    splits = [data for _, split, data in splits_of(task) if train in (None, split)]
    return TfidfEncoder().fit([text for data in splits for text in columns_of(task, data)[0]])


def _documents(task: Any, subset: str, split: str) -> int:
    """Texts of a subset in a split; a task may draw fewer."""
    data = task.dataset.get(subset, task.dataset)[split]
    cells = data[task.input_column_name]
    return sum(map(len, cells)) if len(cells) and isinstance(cells[0], list) else len(data)
