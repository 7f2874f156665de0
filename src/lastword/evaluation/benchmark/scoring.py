"""One task of mteb, made, given its texts and scored by its own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mteb
import numpy as np
from mteb.abstasks import AbsTaskClustering
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import RequestError
from lastword.evaluation import tasks
from lastword.evaluation.benchmark.copies import hash_copy, load_copy, local_copy
from lastword.evaluation.benchmark.hub import Hub, MissingDataError, where_from
from lastword.evaluation.benchmark.names import LANGUAGE
from lastword.evaluation.benchmark.statistics import columns_of, splits_of, verdict
from lastword.evaluation.benchmark.task_score import SubsetScore


def make_task(name: str, seed: int) -> Any:
    """A task object for one evaluation.

    A second evaluation of the same object draws other documents, since its generator goes on; so each
    evaluation has an object of its own.

    Raises:
        RequestError: the task has no English texts.
    """
    with tasks.undisturbed():
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
        """What changes when the local copy does; None for the Hub, whose revision is fixed."""
        copy = self.copy_of(task)
        return hash_copy(copy) if copy else None

    def origin_of(self, task: Any) -> str:
        """Which texts they are: a hash of the local copy, or where they lie on the Hub."""
        copy = self.hash_of(task)
        return f"local-{copy}" if copy else where_from(task)

    def load(self, task: Any) -> str:
        """Give a task its texts; how they compare with what mteb knows of them.

        Raises:
            MissingDataError: they are not to be had.
        """
        copy = self.copy_of(task)
        with tasks.undisturbed():
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
        MissingDataError: the texts are such that mteb or the model can do nothing with them.
    """
    if isinstance(encoder, TfidfEncoder):
        encoder = _fitted(task)
    _make_own(task)
    model = _ThreadedModel(encoder)
    with tasks.undisturbed(), threadpool_limits(1):
        # The seed again: a legacy clustering hands it to k-means from here and not from the task.
        try:
            scores = {
                split: task.evaluate(model, split, encode_kwargs=tasks.DATA_LOADING, seed=seed)
                for split in task.eval_splits
            }
        except (ValueError, KeyError) as error:
            # One data set with a text that is none, or with one label, must not end a benchmark of 48.
            raise MissingDataError(f"its texts cannot be scored ({error})") from error
    rows = []
    for subset in task.hf_subsets:
        parts = [scores[split][subset] for split in task.eval_splits]
        sizes = [_sizes(task, subset, split) for split in task.eval_splits]
        metric = task.metadata.main_score
        main = float(np.mean([part["main_score"] for part in parts]))
        std = float(np.mean([_std(part, metric) for part in parts]))
        rows.append(SubsetScore(subset, metric, main, std, *map(sum, zip(*sizes, strict=True))))
    return rows, scores


class _ThreadedModel(tasks.MtebModel):
    """Embeds with all threads, where the rest of the task has one; `tasks.run_serially` says why."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__(encoder)
        self.threads = {library["prefix"]: library["num_threads"] for library in threadpool_info()}

    def encode(self, inputs: Any, **settings: Any) -> np.ndarray:
        with threadpool_limits(self.threads):
            return super().encode(inputs, **settings)


def _make_own(task: Any) -> None:
    """Give a classification a regression of its own, and scikit-learn arrays in place of lazy columns."""
    if not hasattr(task, "evaluator_model"):
        return
    task.evaluator_model = clone(task.evaluator_model)  # mteb's is shared by all tasks, seed and all
    calculate = task._calculate_scores
    task._calculate_scores = lambda y_test, y_pred: calculate(np.array(y_test), y_pred)


def _fitted(task: Any) -> TfidfEncoder:
    """Word counts that know all of a task's texts, or all training texts of a classification."""
    train = getattr(task, "train_split", None)
    texts = [
        text
        for _, split, data in splits_of(task)
        if train in (None, split)
        for text in columns_of(task, data)[0]
    ]
    return TfidfEncoder().fit(texts)


def _sizes(task: Any, subset: str, split: str) -> tuple[int, int]:
    """Texts that are scored, and texts that there are."""
    data = task.dataset.get(subset, task.dataset)[split]
    if isinstance(task, AbsTaskClustering):
        n, fraction, most = len(data), task.max_fraction_of_documents_to_embed, task.max_document_to_embed
        drawn = int(fraction * n) if fraction is not None else n if most is None else most
        return min(n, drawn), n
    cells = data[task.input_column_name]
    count = sum(map(len, cells)) if len(cells) and isinstance(cells[0], list) else len(data)
    return count, count


def _std(scores: Mapping[str, Any], metric: str) -> float:
    if f"{metric}_std" in scores:
        return float(scores[f"{metric}_std"])
    return float(np.std([one[metric] for one in scores["scores_per_experiment"]]))
