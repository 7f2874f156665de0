"""Scores equal a slow computation with scikit-learn, and mteb's own result for the same vectors."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import v_measure_score

from lastword.evaluation import tasks
from lastword.evaluation.benchmark.scoring import Texts, make_task, score
from tests.samples import WordEncoder

from .conftest import AMAZON, EMOTION, MASAKHA, SIB

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
    assert row.score == pytest.approx(np.mean(values), abs=1e-9)
    assert row.std == pytest.approx(np.std(values), abs=1e-9)
    assert 0.1 < row.score < 1


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_mtebs_own(copies, name):
    import mteb

    task = make_task(name, 42)
    Texts(copies).load(task)
    with tasks.undisturbed():
        theirs = mteb.evaluate(tasks.MtebModel(WordEncoder()), task, cache=None, show_progress_bar=False)
    (row,), _ = scored(copies, name)
    assert row.score == pytest.approx(theirs.task_results[0].get_score(), abs=1e-9)


def test_two_splits_are_two_parts_of_one_score(copies):
    (row,), scores = scored(copies, "AmazonCounterfactualClassification")
    parts = {split: slow_classification(AMAZON, split, 32, 42) for split in ("validation", "test")}
    assert row.score == pytest.approx(np.mean([np.mean(values) for values in parts.values()]), abs=1e-9)
    assert row.std == pytest.approx(np.mean([np.std(values) for values in parts.values()]), abs=1e-9)
    assert (row.subset, row.n, row.documents) == ("en", 16 + 24, 16 + 24)
    assert set(scores) == {"validation", "test"}


def test_two_evaluations_draw_the_same_documents(copies):
    first, second = (scored(copies, "SIB200ClusteringS2S")[0] for _ in range(2))
    assert first == second
    assert scored(copies, "SIB200ClusteringS2S", 43)[0] != first


def test_a_draw_counts_what_it_embeds(copies):
    """ArXiv's protocol on a small set: 4 % of the texts."""
    from datasets import Dataset, DatasetDict

    task = make_task("BiorxivClusteringS2S.v2", 42)
    texts, labels = [text for text, _, _ in SIB * 5], [label for _, label, _ in SIB * 5]
    task.dataset = DatasetDict(test=Dataset.from_dict({"sentences": texts, "labels": labels}))
    task.data_loaded = True
    encoder = WordEncoder()
    (row,), _ = score(task, encoder, 42)
    assert (row.n, row.documents) == (21, 525)
    assert len(encoder.asked) <= 21


def test_word_counts_know_all_training_texts(copies):
    from lastword.encoders.baselines import TfidfEncoder
    from lastword.evaluation import evaluate

    task = make_task("EmotionClassification", 42)
    Texts(copies).load(task)
    (row,), _ = score(task, TfidfEncoder(), 42)
    by_file = evaluate("tfidf", copies / "emotion.jsonl", task="classification", samples_per_label=16)
    assert row.score == pytest.approx(by_file["score"], abs=1e-9)


def test_callers_keep_their_random_numbers_and_threads(copies):
    import torch

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    threads = torch.get_num_threads()
    scored(copies, "EmotionClassification")
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    assert torch.get_num_threads() == threads
