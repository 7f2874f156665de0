"""The scores equal the protocols worked out by hand, and refuse what cannot be scored."""

from __future__ import annotations

import logging
import random
from collections import defaultdict

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import v_measure_score
from threadpoolctl import threadpool_limits

from lastword.errors import RequestError, WorkError
from lastword.evaluation import (
    Score,
    classification_score,
    cluster_score,
    vectors_classification_score,
    vectors_cluster_score,
)
from tests.samples import TableEncoder, clouds


def v_measures_by_hand(vectors, labels, seed, size):
    draws = random.Random(seed)
    kmeans = MiniBatchKMeans(len(set(labels)), batch_size=512, n_init=1, random_state=seed)
    values = []
    with threadpool_limits(1):
        for _ in range(10):
            rows = draws.choices(range(len(vectors)), k=size)
            clusters = kmeans.fit_predict(vectors[rows])
            values.append(v_measure_score([labels[row] for row in rows], clusters))
    return values


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


@pytest.mark.parametrize(("seed", "size"), [(42, 16_384), (7, 300)])
def test_cluster_score_is_the_protocol(seed, size):
    vectors, labels = clouds(90, labels=5, spread=4.0)
    by_hand = v_measures_by_hand(vectors, labels, seed, size)
    score = vectors_cluster_score(vectors, labels, seed, bootstrap_size=size)
    assert score.score == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert score.std == pytest.approx(np.std(by_hand), abs=1e-9)
    assert 0.1 < score.score < 0.9
    assert (score.task, score.metric, score.n, score.experiments, score.seed) == (
        "clustering", "v_measure", 90, 10, seed,
    )  # fmt: skip


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
    assert score.score == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert score.std == pytest.approx(np.std(by_hand), abs=1e-9)
    assert 0.3 < score.score < 0.95
    assert (score.task, score.metric, score.n, score.experiments) == ("classification", "accuracy", 50, 10)
    assert score == vectors_classification_score(
        vectors[:70], labels[:70], vectors[70:], labels[70:], samples_per_label=samples_per_label
    )


def test_cluster_score_embeds_every_distinct_text_once_and_counts_every_row():
    vectors, labels = clouds(60, labels=4, spread=4.0)
    texts = [f"text {row}" for row in range(60)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    twice = np.concatenate([vectors, vectors[:30]])
    assert cluster_score(encoder, texts + texts[:30], labels + labels[:30]) == vectors_cluster_score(
        twice, labels + labels[:30]
    )
    assert encoder.asked == texts
    assert vectors_cluster_score(twice, labels + labels[:30]) != vectors_cluster_score(vectors, labels)


def test_classification_embeds_only_the_texts_that_are_drawn():
    vectors, labels = clouds(400, labels=2, spread=4.0)
    texts = [f"text {row}" for row in range(400)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    classification_score(encoder, texts[:380], labels[:380], texts[380:], labels[380:], samples_per_label=2)
    assert len(encoder.asked) <= 2 * 2 * 10 + 20
    assert encoder.asked[-20:] == texts[380:]


def test_equal_identities_do_not_share_a_score():
    """mteb's own cache gives the second of two models of one name the score of the first."""
    good, labels = clouds(60, labels=4, spread=1.0)
    poor, _ = clouds(60, labels=4, spread=30.0)
    texts = [f"text {row}" for row in range(60)]
    first, second = (TableEncoder(dict(zip(texts, vectors, strict=True))) for vectors in (good, poor))
    assert first.identity == second.identity
    assert cluster_score(first, texts, labels).score > cluster_score(second, texts, labels).score + 0.3
    halves = texts[:40], labels[:40], texts[40:], labels[40:]
    assert classification_score(first, *halves).score > classification_score(second, *halves).score + 0.3


def test_same_call_twice_gives_the_same_score():
    vectors, labels = clouds(80, labels=4, spread=5.0)
    assert vectors_cluster_score(vectors, labels) == vectors_cluster_score(vectors, labels)
    assert vectors_cluster_score(vectors, labels) != vectors_cluster_score(vectors, labels, seed=1)


def test_clear_clusters_score_one_and_shuffled_labels_near_nothing():
    vectors, labels = clouds(200, labels=4, spread=0.01)
    assert vectors_cluster_score(vectors, labels).score == pytest.approx(1.0, abs=1e-12)
    shuffled = labels.copy()
    random.Random(0).shuffle(shuffled)
    assert vectors_cluster_score(vectors, shuffled).score < 0.08


def test_labels_may_be_numbers_and_minus_one_is_a_label_like_any_other():
    vectors, labels = clouds(80, labels=4, spread=5.0)
    numbers = [int(label[-1]) - 1 for label in labels]
    assert min(numbers) == -1
    assert vectors_cluster_score(vectors, numbers).score == pytest.approx(
        vectors_cluster_score(vectors, labels).score, abs=1e-9
    )


def test_vectors_that_are_all_equal_score_nothing_and_make_no_noise(capfd):
    assert (
        vectors_cluster_score(np.ones((40, 3), np.float32), [str(row % 4) for row in range(40)]).score < 1e-9
    )
    assert capfd.readouterr() == ("", "")


def test_scoring_leaves_the_random_numbers_of_the_caller_alone():
    import torch

    vectors, labels = clouds(40, labels=4, spread=1.0)

    def draws(scores: bool):
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        if scores:
            vectors_cluster_score(vectors, labels, bootstrap_size=100)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draws(scores=True) == draws(scores=False)


def test_two_labels_in_the_test_and_three_in_the_training():
    vectors, labels = clouds(90, labels=3, spread=0.1)
    texts = [f"text {row}" for row in range(90)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    rows = [row for row in range(60, 90) if labels[row] != "label 0"]
    score = classification_score(
        encoder, texts[:60], labels[:60], [texts[row] for row in rows], [labels[row] for row in rows]
    )
    assert (score.score, score.n) == (1.0, 20)


def test_a_test_label_without_training_texts_counts_as_wrong_and_is_told(caplog):
    vectors, labels = clouds(90, labels=3, spread=0.1)
    texts = [f"text {row}" for row in range(90)]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    rows = [row for row in range(60) if labels[row] != "label 0"]
    train = [texts[row] for row in rows], [labels[row] for row in rows]
    with caplog.at_level(logging.WARNING, "lastword"):
        score = classification_score(encoder, *train, texts[60:], labels[60:])
    assert score.score == pytest.approx(2 / 3)
    assert caplog.messages == [
        "10 of 30 test texts have a label that no training text has (such as 'label 0'): they count as wrong"
    ]


def test_score_cannot_be_changed():
    score = Score("clustering", "v_measure", 0.5, 0.1, 10, 10, 42)
    with pytest.raises(AttributeError):
        score.score = 1.0


VECTORS = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("vectors", "labels", "message"),
    [
        (VECTORS, ["x"] * 4, "the list of labels has one label only ('x'): clustering needs at least two"),
        (VECTORS[:0], [], "the list of labels has no labels: clustering needs at least two"),
        (VECTORS, ["x", "y", "x"], "4 texts and 3 labels: give one label per text"),
        (VECTORS[0], ["x", "y", "x", "y"], "vectors have shape (4,): give one row per text, (n, dim)"),
    ],
)
def test_cluster_score_refuses(vectors, labels, message):
    with pytest.raises(RequestError) as caught:
        vectors_cluster_score(vectors, labels)
    assert str(caught.value) == message


def test_cluster_score_refuses_before_it_embeds():
    encoder = TableEncoder({})
    with pytest.raises(RequestError) as caught:
        cluster_score(encoder, ["a", "b"], ["x", "x"])
    assert str(caught.value) == "the list of labels has one label only ('x'): clustering needs at least two"
    assert encoder.asked == []


def test_cluster_score_refuses_bootstraps_smaller_than_the_clusters():
    with pytest.raises(RequestError) as caught:
        vectors_cluster_score(VECTORS, ["a", "b", "c", "d"], bootstrap_size=3)
    assert str(caught.value) == "bootstrap_size=3: there are 4 labels; draw at least that many texts"


@pytest.mark.parametrize(
    ("train", "test", "samples_per_label", "message"),
    [
        (["x"] * 9, ["x"], 8, "the training set has one label only ('x'): classification needs at least two"),
        (
            ["x"] * 9 + ["y"] * 3, ["x"], 8,
            "the training set: label 'y' has only 3 of samples_per_label=8; add texts or ask for at most 3",
        ),
        (["x", "y"], ["x"], 0, "samples_per_label=0: give 1 or more"),
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


def test_vectors_that_are_not_finite_are_the_models_fault():
    vectors = np.ones((4, 2), np.float32)
    vectors[1, 0], vectors[3, 1] = np.nan, np.inf
    texts = ["a", "b", "c", "d"]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    with pytest.raises(WorkError) as caught:
        cluster_score(encoder, texts, ["x", "y", "x", "y"])
    assert str(caught.value) == (
        "the model returned 2 of 4 vectors with values that are not finite: try dtype float32, or an earlier checkpoint"
    )
