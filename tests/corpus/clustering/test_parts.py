"""The parts of clustering on arrays: against other implementations, and on points whose groups are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import adjusted_rand_score

from lastword.corpus.clustering import choosing
from lastword.corpus.clustering.families import families, merges
from lastword.corpus.clustering.head import joined
from lastword.corpus.clustering.labels import agreement
from lastword.corpus.clustering.names import chat_names, unique
from lastword.corpus.clustering.partition import UNCLUSTERED, Centroids, Dense, density, k_means
from lastword.corpus.clustering.stability import stability
from lastword.corpus.clustering.terms import class_tfidf, distinctive_terms


def blobs(groups: int, each: int, noise: float = 0.05, dim: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Points around the ends of random directions, and their groups."""
    random = np.random.default_rng(0)
    centers = np.linalg.qr(random.normal(size=(max(dim, groups), max(dim, groups))))[0][:groups, :]
    numbers = np.repeat(np.arange(groups), each)
    points = centers[numbers] + random.normal(0, noise, (len(numbers), centers.shape[1]))
    return points.astype(np.float32), numbers


def test_k_means_finds_groups_and_says_how_sure() -> None:
    points, numbers = blobs(4, 50)
    partition = Centroids(k_means(points, 4, seed=0))
    groups, confidence = partition.assign(points)
    assert adjusted_rand_score(numbers, groups) == 1
    assert confidence.min() > 0.5
    between = partition.centroids[:2].mean(0, keepdims=True)
    assert partition.assign(between)[1][0] == pytest.approx(0, abs=0.02)
    assert partition.assign(partition.centroids[:1])[1][0] == pytest.approx(1, abs=0.01)


def test_many_points_are_clustered_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from lastword.corpus.clustering import partition

    monkeypatch.setattr(partition, "_FULL_BATCH", 64)
    points, numbers = blobs(4, 50)
    groups, _ = Centroids(k_means(points, 4, seed=0)).assign(points)
    assert adjusted_rand_score(numbers, groups) == 1


def test_density_leaves_scattered_points_unclustered() -> None:
    points, numbers = blobs(3, 60, noise=0.03)
    scattered = np.random.default_rng(1).uniform(-2, 2, (20, 5)).astype(np.float32)
    found = density(np.vstack([points, scattered]), np.vstack([points, scattered]), least_size=10)
    assert adjusted_rand_score(numbers, found.groups[:180]) > 0.95
    assert (found.groups[180:] == UNCLUSTERED).mean() > 0.8
    assert found.centroids.shape == (3, 5)
    groups, confidence = found.assign(np.vstack([points[:1] + 0.01, scattered[:1]]))
    assert groups.tolist() == [found.groups[0], found.groups[180]]
    assert confidence[0] > confidence[1] == 0


def test_groups_are_renumbered() -> None:
    dense = Dense(
        np.eye(3, dtype=np.float32), np.array([0, 1, UNCLUSTERED], np.int32), np.ones(3, np.float32)
    )
    assert dense.ordered(np.array([1, 0])).groups.tolist() == [1, 0, UNCLUSTERED]
    assert dense.ordered(np.array([1])).groups.tolist() == [UNCLUSTERED, 0, UNCLUSTERED]
    assert Centroids(np.eye(3)).ordered(np.array([2, 0])).centroids.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("groups", [3, 5, 8])
def test_the_number_of_clear_groups_is_found(groups: int) -> None:
    points, _ = blobs(groups, 40, dim=10)
    candidates = choosing.try_numbers(points, seed=0, numbers=range(2, 12))
    assert choosing.best_number(candidates) == groups
    chosen = next(each for each in candidates if each.groups == groups)
    assert chosen.agreement == pytest.approx(1)
    assert chosen.information == pytest.approx(math.log(groups), rel=0.05)
    assert chosen.silhouette == max(each.silhouette for each in candidates)
    assert choosing.reason(candidates).startswith(f"{groups} groups: the fewest with 90%")


def test_points_without_groups_share_no_information() -> None:
    points = np.random.default_rng(0).normal(size=(400, 30)).astype(np.float32)
    assert max(each.information for each in choosing.try_numbers(points, 0, range(2, 12))) < 0.3


def test_stable_and_unstable_groups_are_told_apart() -> None:
    """Three clear groups; a cloud that is cut in two anywhere."""
    points, numbers = blobs(4, 60, noise=0.02)
    cloud = numbers == 3
    numbers[cloud] = np.where(np.arange(cloud.sum()) % 2, 3, 4)

    def cluster(some: np.ndarray, seed: int) -> np.ndarray:
        return Centroids(k_means(some, 5, seed, starts=1)).assign(some)[0]

    values = stability(points, numbers, 5, cluster, repeats=10)
    assert values[:3].min() > 0.75
    assert values[3:].max() < 0.75


def test_stability_is_jaccards_mean() -> None:
    points, numbers = np.zeros((8, 1)), np.repeat([0, 1], 4)
    assert stability(points, numbers, 2, lambda some, seed: np.zeros(len(some), int), repeats=5).max() < 0.8
    assert np.isnan(
        stability(points, np.full(8, UNCLUSTERED), 1, lambda some, seed: np.zeros(len(some), int))[0]
    )
    same = stability(np.arange(8.0)[:, None], numbers, 2, lambda some, seed: (some[:, 0] >= 4).astype(int))
    assert same.tolist() == [1, 1]


def test_wards_hierarchy_joins_near_groups_first() -> None:
    centroids = np.array([[0, 0], [0, 1], [9, 0], [9, 1], [30, 0]], float)
    merged = merges(centroids)
    assert [merge.groups for merge in merged[:2]] == [[0, 1], [2, 3]]
    assert merged[-1].groups == [0, 1, 2, 3, 4]
    assert [merge.distance for merge in merged] == sorted(merge.distance for merge in merged)
    assert families(merged).tolist() == [0, 0, 0, 0, 1]
    assert families(merges(centroids[:1])).tolist() == [0]


def test_weights_are_those_of_the_formula() -> None:
    counts = np.array([[3.0, 1, 0], [1, 1, 4]])
    for group, row in enumerate(class_tfidf(counts)):
        for term, weight in enumerate(row):
            share, mean = counts[group, term] / counts[group].sum(), counts.sum() / 2
            assert weight == pytest.approx(share * math.log(1 + mean / counts[:, term].sum()))


def test_terms_are_frequent_here_and_rare_elsewhere() -> None:
    texts = ["the red apple pie 7", "apples and apple pie", "red car", "fast car, red", "?!", "nobody"]
    terms = distinctive_terms(texts, np.array([0, 0, 1, 1, 2, UNCLUSTERED]), 3, 5)
    assert terms[0][0] in ("apple", "pie", "apple pie")
    assert "car" in terms[1][:2]
    assert terms[2] == []
    assert not any(term in ("7", "the", "nobody") for each in terms for term in each)
    for each in terms:
        words = [word.rstrip("s") for term in each for word in term.split()]
        assert len(words) == len(set(words))
    chatty = distinctive_terms(
        ["Does it? I don't, they’re loud", "didn't we? it's birds"], np.array([0, 1]), 2, 5
    )
    assert chatty == [["loud"], ["birds"]]
    assert distinctive_terms(["?", "!"], np.array([0, 1]), 2, 5) == [[], []]
    assert distinctive_terms(["a b"], np.array([UNCLUSTERED]), 1, 5) == [[]]


def test_word_pattern_keeps_words_of_any_alphabet() -> None:
    terms = distinctive_terms(["größe naïve", "Привет e-mail"], np.array([0, 1]), 2, 5)
    assert {"größe", "naïve"} <= set(terms[0]) | set(" ".join(terms[0]).split())
    assert "привет" in " ".join(terms[1])
    assert CountVectorizer().build_tokenizer()("größe") == ["größe"]


def test_joined_lists_put_common_words_first() -> None:
    assert joined(["space", "sky", "moons"], ["moon", "orbit"], 3) == ["moons", "space", "sky"]
    assert joined([], ["orbit"], 3) == ["orbit"]


def test_names_differ() -> None:
    assert unique(["a", "b", "a", "unclustered"]) == ["a (0)", "b", "a (2)", "unclustered (3)"]


def test_answers_of_a_chat_model_become_names() -> None:
    answers = ['**Name: "Space travel".**\nBecause …', "", "x" * 80, "Food"]
    prompts: list[str] = []

    def chat(asked: object) -> list[str]:
        prompts.extend(asked)  # type: ignore[call-overload]
        return answers

    texts = [["a rocket\n launch", "y" * 900], ["b"], ["c"], ["d"]]
    assert chat_names(chat, [["rocket", "orbit"], [], [], []], texts) == ["Space travel", None, None, "Food"]
    assert "rocket, orbit" in prompts[0]
    assert "- a rocket launch\n" in prompts[0]
    assert len(prompts[0]) < 700


def test_agreement_with_labels() -> None:
    labels = ["a", "a", "a", "b", "b", None, "b", "b"]
    groups = np.array([0, 0, 1, 1, 1, 1, UNCLUSTERED, 1])
    found = agreement("topic", labels, groups, seed=0)
    assert (found.labelled, found.unlabelled, found.labels) == (7, 1, 2)
    assert found.confusion == {"a": {0: 2, 1: 1}, "b": {UNCLUSTERED: 1, 1: 3}}
    assert found.purity == pytest.approx((2 + 3 + 1) / 7)
    assert found.of_group(1) == ("b", 0.75)
    assert found.of_group(7) == (None, None)
    perfect = agreement("topic", ["a", "b"] * 20, np.arange(40) % 2, seed=0)
    assert perfect.v_measure == perfect.ami == perfect.purity == pytest.approx(1)
    assert perfect.chance < 0.1
