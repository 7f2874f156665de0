"""Classification scores equal the protocol worked out by hand and mteb's own value."""

from __future__ import annotations

import logging
from collections import defaultdict

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lastword.encoder import VectorRows
from lastword.errors import RequestError
from lastword.evaluation import classification_score, vectors_classification_score
from lastword.evaluation.classification import accuracy_score, independent_draws
from lastword.uncertainty import halves
from tests.samples import TableEncoder, clouds


def accuracies_by_hand(train, train_labels, test, test_labels, seed, samples_per_label):
    order, values = list(range(len(train))), []
    for _ in range(10):
        np.random.RandomState(seed).shuffle(order)
        taken, rows = defaultdict(int), []
        for row in order:
            if taken[train_labels[row]] < samples_per_label:
                taken[train_labels[row]] += 1
                rows.append(row)
        model = LogisticRegression(max_iter=100, random_state=seed)
        model.fit(train[rows], [train_labels[row] for row in rows])
        values.append(model.score(test, test_labels))
    return values


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")  # a limit of the protocol, and quiet in ours
@pytest.mark.parametrize("samples_per_label", [3, 8])
def test_classification_score_is_the_protocol(samples_per_label):
    vectors, labels = clouds(120, labels=4, spread=5.0)
    texts = [f"text {row}" for row in range(120)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    by_hand = accuracies_by_hand(vectors[:70], labels[:70], vectors[70:], labels[70:], 42, samples_per_label)
    score = classification_score(
        encoder, texts[:70], labels[:70], texts[70:], labels[70:], samples_per_label=samples_per_label
    )
    assert score.value == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert score.draws == pytest.approx(by_hand, abs=1e-9)
    assert 0.3 < score.value < 0.95
    assert (score.metric, score.n, len(score.draws), score.chance) == ("accuracy", 50, 10, 13 / 50)
    assert score == vectors_classification_score(
        vectors[:70], labels[:70], vectors[70:], labels[70:], samples_per_label=samples_per_label
    )


@pytest.mark.parametrize(("labels", "samples_per_label"), [(2, 8), (5, 4)])
def test_mteb_itself_gives_the_same_value_to_the_last_digit(labels, samples_per_label):
    from .mteb_tasks import Classification, mtebs_value

    vectors, names = clouds(120, labels, spread=5.0)
    rows, codes = VectorRows(vectors), [int(name[-1]) for name in names]
    task = Classification((rows.texts[:70], codes[:70]), (rows.texts[70:], codes[70:]), 42, samples_per_label)
    score = vectors_classification_score(
        vectors[:70], names[:70], vectors[70:], names[70:], samples_per_label=samples_per_label
    )
    assert score.value == mtebs_value(task, rows)


def test_the_error_of_the_texts_is_that_of_a_mean_over_them():
    correct = np.random.default_rng(0).random(800) < 0.7  # of all ten experiments
    score = accuracy_score(np.array([correct] * 10), np.arange(800) % 4, [])
    assert score.text_se == pytest.approx((score.value * (1 - score.value) / 800) ** 0.5, rel=0.35)
    vectors, labels = clouds(1000, labels=4, spread=6.0)
    score = vectors_classification_score(vectors[:200], labels[:200], vectors[200:], labels[200:])
    rows = halves(800)[3]
    other = vectors_classification_score(
        vectors[:200], labels[:200], vectors[200:][rows], [labels[200:][row] for row in rows]
    )
    assert score.resamples[3] == pytest.approx([other.value], abs=2e-6)


@pytest.mark.parametrize("per_label", [10, 40])
def test_draws_from_few_training_texts_count_as_fewer(per_label):
    """Against the variance of the mean of ten draws over other training texts."""
    rng, means, within = np.random.default_rng(0), [], []
    for _ in range(600):
        texts = rng.standard_normal(per_label)
        draws = [rng.permutation(texts)[:8].mean() for _ in range(10)]
        means.append(np.mean(draws))
        within.append(np.var(draws, ddof=1))
    worth = independent_draws(["label"] * per_label, 8)
    assert np.mean(within) / worth == pytest.approx(np.var(means), rel=0.15)
    assert independent_draws(["label"] * 100_000, 8) == pytest.approx(10, rel=0.01)


def test_classification_embeds_only_the_texts_that_are_drawn():
    vectors, labels = clouds(400, labels=2, spread=4.0)
    texts = [f"text {row}" for row in range(400)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    classification_score(encoder, texts[:380], labels[:380], texts[380:], labels[380:], samples_per_label=2)
    assert len(encoder.asked) <= 2 * 2 * 10 + 20
    assert encoder.asked[-20:] == texts[380:]


def test_two_labels_in_the_test_and_three_in_the_training():
    vectors, labels = clouds(90, labels=3, spread=0.1)
    texts = [f"text {row}" for row in range(90)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    rows = [row for row in range(60, 90) if labels[row] != "label 0"]
    score = classification_score(
        encoder, texts[:60], labels[:60], [texts[row] for row in rows], [labels[row] for row in rows]
    )
    assert (score.value, score.n) == (1.0, 20)


def test_a_test_label_without_training_texts_counts_as_wrong_with_a_warning(caplog):
    vectors, labels = clouds(90, labels=3, spread=0.1)
    texts = [f"text {row}" for row in range(90)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    rows = [row for row in range(60) if labels[row] != "label 0"]
    train = [texts[row] for row in rows], [labels[row] for row in rows]
    with caplog.at_level(logging.WARNING, "lastword"):
        score = classification_score(encoder, *train, texts[60:], labels[60:])
    assert score.value == pytest.approx(2 / 3)
    assert caplog.messages == [
        "10 of 30 test texts have a label that no training text has (such as 'label 0'): they count as wrong"
    ]


@pytest.mark.parametrize(
    ("train", "test", "samples_per_label", "message"),
    [
        (["x"] * 9, ["x"], 8, "the training set has one label only ('x'): classification needs at least two"),
        (
            ["x"] * 9 + ["y"] * 3, ["x"], 8,
            "the training set: label 'y' has only 3 of samples_per_label=8; add texts or ask for at most 3",
        ),
        (["x", "y"], ["x"], 0, "samples_per_label=0: give a whole number, 1 or more"),
        (["x", "y"], [], 1, "no test texts: classification needs at least one"),
    ],
)  # fmt: skip
def test_classification_score_refuses(train, test, samples_per_label, message):
    with pytest.raises(RequestError) as caught:
        classification_score(
            TableEncoder({}),
            ["a"] * len(train),
            train,
            ["a"] * len(test),
            test,
            samples_per_label=samples_per_label,
        )
    assert str(caught.value) == message
