"""Accuracy of a logistic regression on few texts per label, by mteb's protocol; see `clustering.py` on its own code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lastword.console import progress, warn
from lastword.encoder import TextEncoder, VectorRows, encode_distinct
from lastword.errors import RequestError
from lastword.evaluation.clustering import one_thread
from lastword.evaluation.labels import (
    SEED,
    Label,
    coded,
    require_labels,
    require_same_length,
    require_samples,
)
from lastword.uncertainty import Score, resamples, sample_hash

_EXPERIMENTS, _MOST_STEPS = 10, 100


def classification_score(
    encoder: TextEncoder,
    train_texts: Sequence[str],
    train_labels: Sequence[Label],
    test_texts: Sequence[str],
    test_labels: Sequence[Label],
    seed: int = SEED,
    *,
    samples_per_label: int = 8,
) -> Score:
    """Accuracy of a logistic regression on few texts per label, with mteb's value to the last digit.

    Ten times, `samples_per_label` training texts of each label are drawn, a logistic regression (at most 100
    steps, no scaling) is fitted to their vectors, and all test texts are classified. Only training texts that
    are drawn are embedded.

    Args:
        encoder: what is scored.
        train_texts: texts to draw from.
        train_labels: a label for each.
        test_texts: n texts to classify.
        test_labels: a label for each; one that no training text has counts as wrong.
        seed: of the draws.
        samples_per_label: training texts of each label.

    Returns:
        The mean of ten accuracies, with replicates; chance is the accuracy of the most frequent test label.

    Raises:
        RequestError: fewer than two labels, too few training texts of one, or not one label per text.

    Source: MTEB, arXiv:2210.07316.
    """
    require_labels(train_labels, "classification", "the training set")
    require_samples(train_labels, samples_per_label)
    require_same_length(train_texts, train_labels)
    require_same_length(test_texts, test_labels)
    if not test_texts:
        raise RequestError("no test texts: classification needs at least one")
    _warn_of_unknown_labels(train_labels, test_labels)
    known = [*train_labels, *test_labels]
    train, test = coded(train_labels, known), coded(test_labels, known)
    drawn = _few_of_each(train, samples_per_label, seed)
    rows = sorted(set().union(*drawn))
    vectors = encode_distinct(encoder, [*(train_texts[row] for row in rows), *test_texts])
    position = {row: place for place, row in enumerate(rows)}
    correct = np.empty((_EXPERIMENTS, len(test)), dtype=bool)
    with progress("classification", _EXPERIMENTS) as advance, one_thread():
        for experiment, few in enumerate(drawn):
            fitted = _fit(vectors[[position[row] for row in few]], train[few], seed)
            correct[experiment] = fitted.predict(vectors[len(rows) :]) == test
            advance(1)
    protocol = ["classification", seed, samples_per_label, train.tolist()]
    return accuracy_score(correct, test, protocol, independent_draws(train, samples_per_label))


def vectors_classification_score(
    train_vectors: np.ndarray,
    train_labels: Sequence[Label],
    test_vectors: np.ndarray,
    test_labels: Sequence[Label],
    seed: int = SEED,
    *,
    samples_per_label: int = 8,
) -> Score:
    """Score vectors that exist already, such as several poolings from one pass; see `classification_score`.

    Args:
        train_vectors: (train, dim), to draw from.
        train_labels: a label for each.
        test_vectors: (n, dim), to classify.
        test_labels: a label for each.
        seed: of the draws.
        samples_per_label: training vectors of each label.
    """
    count = len(train_vectors)
    rows = VectorRows(np.concatenate([train_vectors, test_vectors]))
    train, test = rows.texts[:count], rows.texts[count:]
    return classification_score(
        rows, train, train_labels, test, test_labels, seed, samples_per_label=samples_per_label
    )


def independent_draws(train: Sequence[Label] | np.ndarray, samples_per_label: int) -> float:
    """How many draws from fresh training texts the ten from these are worth.

    If a draw takes the share f of the training texts of a label, two draws share f of their texts: their mean varies
    over other training texts by s² (1/10 + 9/10 f), while they vary among each other by s² (1 - f) only.

    Args:
        train: labels of the training texts.
        samples_per_label: training texts of each label in a draw.
    """
    counts = np.unique(np.asarray(train), return_counts=True)[1]
    share = min(float(np.mean(samples_per_label / counts)), 0.99)
    return (1 - share) / (1 / _EXPERIMENTS + (1 - 1 / _EXPERIMENTS) * share)


def accuracy_score(
    correct: np.ndarray, test: np.ndarray, protocol: Sequence[object], mean_of: float | None = None
) -> Score:
    """Accuracy with its replicates.

    Args:
        correct: (experiments, n), whether each experiment classified a test text correctly.
        test: (n,) labels of the test texts as numbers.
        protocol: what the draws of training texts depend on.
        mean_of: see `Score`.
    """
    values = correct.mean(axis=1)
    per_text = correct.mean(axis=0)
    return Score(
        metric="accuracy",
        value=float(np.mean(values)),
        draws=tuple(values.tolist()),
        resamples=resamples(lambda rows: [float(per_text[rows].mean())], len(test)),
        n=len(test),
        sample=sample_hash([*protocol, test.tolist()]),
        mean_of=mean_of,
        chance=float(np.unique(test, return_counts=True)[1].max() / len(test)),
    )


def _few_of_each(codes: np.ndarray, samples_per_label: int, seed: int) -> list[list[int]]:
    """Rows of the training texts of each experiment; mteb shuffles the already shuffled order again."""
    order = np.arange(len(codes))
    drawn = []
    for _ in range(_EXPERIMENTS):
        np.random.RandomState(seed).shuffle(order)
        taken = np.zeros(codes.max() + 1, dtype=int)
        rows = []
        for row in order.tolist():
            if taken[codes[row]] < samples_per_label:
                taken[codes[row]] += 1
                rows.append(row)
        drawn.append(rows)
    return drawn


def _fit(vectors: np.ndarray, codes: np.ndarray, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=_MOST_STEPS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are the protocol, enough or not
        return model.fit(vectors, codes)


def _warn_of_unknown_labels(train_labels: Sequence[Label], test_labels: Sequence[Label]) -> None:
    known = set(train_labels)
    unknown = [label for label in test_labels if label not in known]
    if unknown:
        warn(
            f"{len(unknown)} of {len(test_labels)} test texts have a label that no training text has "
            f"(such as {unknown[0]!r}): they count as wrong"
        )
