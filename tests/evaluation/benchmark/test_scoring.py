"""Scores equal a slow computation with scikit-learn, and mteb's own result for the same vectors."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import v_measure_score
from threadpoolctl import threadpool_limits

from lastword import uncertainty
from lastword.evaluation.benchmark.mteb_model import MtebModel, undisturbed
from lastword.evaluation.benchmark.scoring import Texts, make_task, score
from tests.samples import WordEncoder

from .conftest import AMAZON, EMOTION, MASAKHA, SIB


@pytest.fixture(autouse=True)
def few_halves(monkeypatch):
    monkeypatch.setattr(uncertainty, "HALVES", 16)


NAMES = ("SIB200ClusteringS2S", "MasakhaNEWSClusteringS2S", "EmotionClassification")


def scored(copies, name, seed=42):
    task = make_task(name, seed)
    Texts(copies).load(task)
    return score(task, WordEncoder(), seed)


def slow_sib(seed):
    draw = random.Random(seed)
    rows = draw.sample(range(len(SIB)), k=len(SIB))
    vectors = WordEncoder().encode([SIB[row][0] for row in rows])
    labels = np.array([SIB[row][1] for row in rows])
    values = []
    for _ in range(10):
        places = draw.choices(range(len(rows)), k=16_384)
        kmeans = MiniBatchKMeans(3, batch_size=512, init="k-means++", n_init=1, random_state=seed)
        values.append(v_measure_score(labels[places], kmeans.fit_predict(vectors[places])))
    return values


def slow_masakha(seed):
    test = [(text, label) for text, label, split in MASAKHA if split == "test"]
    values = []
    for start in range(0, 100, 20):
        part = test[start : start + 20]
        vectors = WordEncoder().encode([text for text, _ in part])
        kmeans = MiniBatchKMeans(4, batch_size=500, n_init="auto", random_state=seed).fit(vectors)
        values.append(v_measure_score([label for _, label in part], kmeans.labels_))
    return values


def slow_classification(rows, tested, samples, seed):
    codes = {label: code for code, label in enumerate(dict.fromkeys(label for _, label, _ in rows))}
    train = [(text, codes[label]) for text, label, split in rows if split == "train"]
    test = [(text, codes[label]) for text, label, split in rows if split == tested]
    vectors = WordEncoder().encode([text for text, _ in train])
    tests = WordEncoder().encode([text for text, _ in test])
    order, values = list(range(len(train))), []
    for _ in range(10):
        np.random.RandomState(seed).shuffle(order)
        drawn = []
        for row in order:
            if sum(train[other][1] == train[row][1] for other in drawn) < samples:
                drawn.append(row)
        regression = LogisticRegression(max_iter=100, random_state=seed)
        with warnings.catch_warnings(action="ignore"):  # 100 steps are the protocol, enough or not
            regression.fit(vectors[drawn], [train[row][1] for row in drawn])
        values.append(np.mean(regression.predict(tests) == [label for _, label in test]))
    return values


SLOW = {
    "SIB200ClusteringS2S": slow_sib,
    "MasakhaNEWSClusteringS2S": slow_masakha,
    "EmotionClassification": lambda seed: slow_classification(EMOTION, "test", 16, seed),
}


@pytest.mark.parametrize("seed", [42, 43])
@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_that_of_the_slow_computation(copies, name, seed):
    (row,), _ = scored(copies, name, seed)
    values = SLOW[name](seed)
    assert row.score.value == pytest.approx(np.mean(values), abs=1e-9)
    if "Masakha" not in name:  # whose values are sets of other texts, not draws
        assert row.score.draws == pytest.approx(values, abs=1e-9)
    assert len(row.score.draws) == 10
    assert len(row.score.resamples) == uncertainty.HALVES
    assert 0.1 < row.score.value < 1
    assert 0 < row.score.text_se < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_mtebs_own(copies, name):
    import mteb

    task = make_task(name, 42)
    Texts(copies).load(task)
    with undisturbed(), threadpool_limits(1):
        theirs = mteb.evaluate(MtebModel(WordEncoder()), task, cache=None, show_progress_bar=False)
    (row,), _ = scored(copies, name)
    (scores,) = theirs.task_results[0].scores["test"]
    assert row.score.value == scores["main_score"]
    assert theirs.task_results[0].get_score() == pytest.approx(row.score.value, abs=1e-6)


def test_a_local_file_scores_as_the_task_does(copies):
    """mteb draws the documents in another order, so the bootstraps differ; the halves and chance agree in size."""
    from lastword.evaluation import evaluate

    (row,), _ = scored(copies, "SIB200ClusteringS2S")
    local = evaluate(WordEncoder(), copies / "SIB200ClusteringS2S.jsonl").models[0].score
    assert local.n == row.score.n == 105
    assert local.chance == pytest.approx(row.score.chance, abs=0.02)
    assert local.ami == pytest.approx(row.score.ami, abs=0.1)


def test_a_legacy_clustering_is_one_start_of_ten(copies):
    """mteb clusters each of the five sets once; nine other starts show how much the start matters."""
    (row,), _ = scored(copies, "MasakhaNEWSClusteringS2S")
    starts = [np.mean(slow_masakha(seed)) for seed in range(42, 52)]
    assert row.score.value == pytest.approx(starts[0], abs=1e-9)
    assert row.score.draw_se == pytest.approx(np.std(starts, ddof=1), abs=1e-9)
    assert row.score.n == 100
    assert 0 < row.score.chance < row.score.value


def test_a_set_of_one_label_counts_as_one(copies):
    from datasets import Dataset, DatasetDict

    task = make_task("MasakhaNEWSClusteringS2S", 42)
    texts = [text for text, _, _ in MASAKHA[:24]]
    labels = [code % 4 for code in range(24)]
    cells = {"sentences": [texts[:12], texts[12:]], "labels": [labels[:12], [1] * 12]}
    task.dataset = {"eng": DatasetDict(test=Dataset.from_dict(cells))}
    task.data_loaded = True
    (row,), scores = score(task, WordEncoder(), 42)
    assert scores["test"]["eng"]["v_measures"][1] == 1.0
    assert row.score.value == pytest.approx((scores["test"]["eng"]["v_measures"][0] + 1) / 2)
    assert np.mean(row.score.draws) > 0.5


@pytest.mark.parametrize("kind", [str, int])
def test_levels_of_labels_have_equal_weight(kind):
    from datasets import Dataset, DatasetDict

    def task_of(labels):
        task = make_task("ArXivHierarchicalClusteringS2S", 42)
        task.max_fraction_of_documents_to_embed = None
        task.max_documents_per_cluster = 500
        texts = [text for text, _, _ in SIB[:60]]
        task.dataset = DatasetDict(test=Dataset.from_dict({"sentences": texts, "labels": labels}))
        task.data_loaded = True
        (row,), scores = score(task, WordEncoder(), 42)
        return row.score, scores["test"]["default"]["v_measures"]

    deep = [[kind(row % 3), kind(row % 6)] if row % 5 else [kind(row % 3)] for row in range(60)]
    both, levels = task_of(deep)
    assert list(levels) == ["Level 0", "Level 1"]
    assert both.draws == pytest.approx(np.mean([levels["Level 0"], levels["Level 1"]], axis=0), abs=1e-12)
    assert (both.n, len(both.resamples)) == (60, uncertainty.HALVES)
    alone, _ = task_of([labels[:1] for labels in deep])
    assert alone.draws == pytest.approx(levels["Level 0"], abs=1e-12)
    assert both.text_se != alone.text_se


def test_two_splits_are_two_parts_of_one_score(copies):
    (row,), scores = scored(copies, "AmazonCounterfactualClassification")
    parts = {split: slow_classification(AMAZON, split, 32, 42) for split in ("validation", "test")}
    assert row.score.value == pytest.approx(np.mean([*parts.values()]), abs=1e-9)
    assert row.score.draws == pytest.approx(np.mean([*parts.values()], axis=0), abs=1e-9)
    assert (row.subset, row.score.n, row.documents) == ("en", 16 + 24, 16 + 24)
    assert set(scores) == {"validation", "test"}


def test_two_evaluations_draw_the_same_documents(copies):
    first, second = (scored(copies, "SIB200ClusteringS2S")[0] for _ in range(2))
    assert first == second
    assert scored(copies, "SIB200ClusteringS2S", 43)[0] != first


def test_only_drawn_documents_are_embedded(copies):
    """ArXiv's protocol on a small set: 4 % of the texts."""
    from datasets import Dataset, DatasetDict

    task = make_task("BiorxivClusteringS2S.v2", 42)
    texts, labels = [text for text, _, _ in SIB * 5], [label for _, label, _ in SIB * 5]
    task.dataset = DatasetDict(test=Dataset.from_dict({"sentences": texts, "labels": labels}))
    task.data_loaded = True
    encoder = WordEncoder()
    (row,), _ = score(task, encoder, 42)
    assert (row.score.n, row.documents) == (21, 525)
    assert len(encoder.asked) <= 21


def test_tfidf_is_fitted_to_all_training_texts(copies):
    from lastword.encoders.baselines import TfidfEncoder
    from lastword.evaluation import evaluate

    task = make_task("EmotionClassification", 42)
    Texts(copies).load(task)
    (row,), _ = score(task, TfidfEncoder(), 42)
    by_file = evaluate("tfidf", copies / "emotion.jsonl", task="classification", samples_per_label=16)
    assert row.score.value == pytest.approx(by_file.models[0].score.value, abs=1e-9)
    assert row.score.text_se == pytest.approx(by_file.models[0].score.text_se, abs=0.005)


def test_random_states_and_threads_of_the_caller_are_unchanged(copies):
    import torch

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    threads = torch.get_num_threads()
    scored(copies, "EmotionClassification")
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    assert torch.get_num_threads() == threads
