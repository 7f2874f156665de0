"""Clustering scores equal the protocol worked out by hand and mteb's own value, and refuse what cannot be scored."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_mutual_info_score, v_measure_score
from threadpoolctl import threadpool_limits

from lastword.encoder import VectorRows
from lastword.errors import RequestError, WorkError
from lastword.evaluation import classification_score, cluster_score, clustering, vectors_cluster_score
from lastword.uncertainty import HALVES, Score, compare, halves
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


@pytest.mark.parametrize(("seed", "size"), [(42, 16_384), (7, 300)])
def test_cluster_score_is_the_protocol(seed, size):
    vectors, labels = clouds(90, labels=5, spread=4.0)
    by_hand = v_measures_by_hand(vectors, labels, seed, size)
    score = vectors_cluster_score(vectors, labels, seed, bootstrap_size=size)
    assert score.value == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert score.draws == pytest.approx(by_hand, abs=1e-9)
    assert score.draw_se == pytest.approx(np.std(by_hand, ddof=1) / 10**0.5, abs=1e-9)
    assert 0.1 < score.value < 0.9
    assert (score.metric, score.n, len(score.draws)) == ("v_measure", 90, 10)


@pytest.mark.parametrize(("n", "labels", "spread"), [(90, 5, 4.0), (50, 3, 6.0), (400, 30, 3.0)])
def test_mteb_itself_gives_the_same_value_to_the_last_digit(n, labels, spread):
    from .mteb_tasks import Clustering, mtebs_value

    vectors, names = clouds(n, labels, spread)
    rows = VectorRows(vectors)
    codes = sorted(set(names)).index
    task = Clustering(rows.texts, [codes(name) for name in names], 42, 16_384)
    assert vectors_cluster_score(vectors, names).value == mtebs_value(task, rows)


def test_halves_of_the_texts_are_clustered_again():
    vectors, labels = clouds(61, labels=4, spread=4.0)
    score = vectors_cluster_score(vectors, labels, bootstrap_size=200)
    assert np.shape(score.resamples) == (HALVES, 4)
    rows = halves(61)[7]
    with threadpool_limits(1):
        kmeans = MiniBatchKMeans(4, batch_size=512, n_init=1, random_state=2)
        by_hand = v_measure_score([labels[row] for row in rows], kmeans.fit_predict(vectors[rows]))
    mean = np.mean(score.resamples)
    assert score.resamples[7][2] == pytest.approx(mean + (30 / 31) ** 0.5 * (by_hand - mean), abs=2e-6)
    assert 0.005 < score.text_se < 0.1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_v_measure_is_scikit_learns(rows):
    labels, clusters = (np.array(column) for column in zip(*rows, strict=True))
    expected = v_measure_score(labels, clusters)
    assert clustering._v_measure(labels, clusters) == pytest.approx(expected, abs=1e-9)


def test_large_sets_are_halved_to_a_bounded_size(monkeypatch):
    vectors, labels = clouds(400, labels=4, spread=4.0)
    whole = vectors_cluster_score(vectors, labels, bootstrap_size=200).text_se
    monkeypatch.setattr(clustering, "MOST_HALVED", 80)
    bounded = vectors_cluster_score(vectors, labels, bootstrap_size=200).text_se
    assert bounded != whole
    assert bounded == pytest.approx(whole, rel=0.6)


def test_chance_is_what_clusters_get_with_shuffled_labels():
    vectors, labels = clouds(60, labels=20, spread=2.0)
    score = vectors_cluster_score(vectors, labels)
    meaningless = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    random_score = vectors_cluster_score(meaningless, labels)
    assert 0.5 < score.chance < score.value
    assert random_score.value == pytest.approx(random_score.chance, abs=0.06)
    assert abs(random_score.ami) < 0.1 < score.ami


def test_ami_counts_each_text_once():
    vectors, labels = clouds(90, labels=5, spread=4.0)
    score = vectors_cluster_score(vectors, labels)
    draws, values = random.Random(42), []
    kmeans = MiniBatchKMeans(5, batch_size=512, n_init=1, random_state=42)
    with threadpool_limits(1):
        for _ in range(10):
            rows = draws.choices(range(90), k=16_384)
            cluster_of = dict(zip(rows, kmeans.fit_predict(vectors[rows]), strict=True))
            values.append(
                adjusted_mutual_info_score([labels[row] for row in cluster_of], list(cluster_of.values()))
            )
    assert score.ami == pytest.approx(np.mean(values), abs=1e-9)


def test_models_are_compared_on_the_same_halves():
    vectors, labels = clouds(200, labels=5, spread=3.0)
    worse, _ = clouds(200, labels=5, spread=6.0)
    a, b = (vectors_cluster_score(rows, labels) for rows in (vectors, worse))
    assert compare(a, b).verdict == "better"
    assert compare(b, a).verdict == "worse"
    turned = vectors[:, ::-1].copy()
    assert compare(a, vectors_cluster_score(turned, labels)).verdict == "not distinguishable"
    with pytest.raises(RequestError, match="scores of different texts or protocols cannot be compared"):
        compare(a, vectors_cluster_score(vectors, labels, seed=1))


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


def test_equal_identities_do_not_share_a_score():
    """mteb's own cache gives the second of two models of one name the score of the first."""
    good, labels = clouds(60, labels=4, spread=1.0)
    poor, _ = clouds(60, labels=4, spread=30.0)
    texts = [f"text {row}" for row in range(60)]
    first, second = (TableEncoder(dict(zip(texts, vectors, strict=True))) for vectors in (good, poor))
    assert first.identity == second.identity
    assert cluster_score(first, texts, labels).value > cluster_score(second, texts, labels).value + 0.3
    halves = texts[:40], labels[:40], texts[40:], labels[40:]
    assert classification_score(first, *halves).value > classification_score(second, *halves).value + 0.3


def test_same_call_twice_gives_the_same_score():
    vectors, labels = clouds(80, labels=4, spread=5.0)
    assert vectors_cluster_score(vectors, labels) == vectors_cluster_score(vectors, labels)
    assert vectors_cluster_score(vectors, labels) != vectors_cluster_score(vectors, labels, seed=1)


def test_clear_clusters_score_one_and_shuffled_labels_near_nothing():
    vectors, labels = clouds(200, labels=4, spread=0.01)
    assert vectors_cluster_score(vectors, labels).value == pytest.approx(1.0, abs=1e-12)
    shuffled = labels.copy()
    random.Random(0).shuffle(shuffled)
    assert vectors_cluster_score(vectors, shuffled).value < 0.08


def test_labels_may_be_numbers_and_minus_one_is_a_label_like_any_other():
    vectors, labels = clouds(80, labels=4, spread=5.0)
    numbers = [int(label[-1]) - 1 for label in labels]
    assert min(numbers) == -1
    assert vectors_cluster_score(vectors, numbers).value == pytest.approx(
        vectors_cluster_score(vectors, labels).value, abs=1e-9
    )


def test_vectors_that_are_all_equal_score_nothing_and_warn_of_nothing(capfd):
    assert (
        vectors_cluster_score(np.ones((40, 3), np.float32), [str(row % 4) for row in range(40)]).value < 1e-9
    )
    assert capfd.readouterr() == ("", "")


def test_scoring_does_not_change_the_random_state_of_the_caller():
    import torch

    vectors, labels = clouds(40, labels=4, spread=1.0)

    def draws(scores: bool):
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        if scores:
            vectors_cluster_score(vectors, labels, bootstrap_size=100)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draws(scores=True) == draws(scores=False)


def test_score_cannot_be_changed():
    score = Score("v_measure", 0.5, (), (), 10, "sample")
    with pytest.raises(AttributeError):
        score.value = 1.0


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


def test_vectors_that_are_not_finite_are_an_error_of_the_model():
    vectors = np.ones((4, 2), np.float32)
    vectors[1, 0], vectors[3, 1] = np.nan, np.inf
    texts = ["a", "b", "c", "d"]
    encoder = TableEncoder(dict(zip(texts, vectors, strict=True)))
    with pytest.raises(WorkError) as caught:
        cluster_score(encoder, texts, ["x", "y", "x", "y"])
    assert str(caught.value) == (
        "the model returned 2 of 4 vectors with values that are not finite: try dtype float32, or an earlier checkpoint"
    )
