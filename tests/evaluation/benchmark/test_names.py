"""The lists of tasks, and names that are accepted."""

from __future__ import annotations

import pytest

from lastword.errors import RequestError
from lastword.evaluation.benchmark import mteb_model
from lastword.evaluation.benchmark.names import BENCHMARKS, TYPES, seeds_from, task_names
from lastword.evaluation.benchmark.scoring import make_task


def test_the_lists_have_their_lengths_and_mteb_knows_every_name():
    assert {name: len(set(names)) for name, names in BENCHMARKS.items()} == {
        "paper-clustering": 21,
        "paper-eight": 8,
        "paper-classification": 48,
    }
    assert set(BENCHMARKS["paper-eight"]) < set(BENCHMARKS["paper-clustering"])
    types = mteb_model.task_types()
    for benchmark, names in BENCHMARKS.items():
        kind = "Classification" if benchmark == "paper-classification" else "Clustering"
        assert {types[name] for name in names} == {kind}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_task_can_be_made_and_has_english_texts(benchmark):
    for name in BENCHMARKS[benchmark]:
        task = make_task(name, 42)
        assert task.hf_subsets
        assert task.metadata.name == name
        languages = task.metadata.hf_subsets_to_langscripts
        assert all(
            any(language.startswith("eng") for language in languages[subset]) for subset in task.hf_subsets
        ), name


def test_names_are_separate_or_with_commas_and_counted_once():
    assert task_names("paper-eight") == list(BENCHMARKS["paper-eight"])
    assert task_names(["SIB200ClusteringS2S, EmotionClassification", "SIB200ClusteringS2S"]) == [
        "SIB200ClusteringS2S",
        "EmotionClassification",
    ]
    assert task_names(["paper-eight", "paper-clustering"])[:8] == list(BENCHMARKS["paper-eight"])
    assert len(task_names(["paper-eight", "paper-clustering"])) == 21
    assert task_names("HUMEEmotionClassification") == ["HUMEEmotionClassification"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            " , ",
            "no benchmark: give paper-clustering, paper-eight, paper-classification, or names of mteb's tasks",
        ),
        (
            "paper-seven",
            "unknown benchmark or task 'paper-seven': "
            "did you mean paper-clustering or paper-eight or paper-classification? "
            "Known: paper-clustering, paper-eight, paper-classification, "
            "and the clustering and classification tasks of mteb",
        ),
        (
            "qqqqqq",
            "unknown benchmark or task 'qqqqqq': Known: paper-clustering, paper-eight, paper-classification, "
            "and the clustering and classification tasks of mteb",
        ),
        (
            "STSBenchmark",
            f"STSBenchmark is a task of type STS: a benchmark takes {' and '.join(TYPES)}",
        ),
    ],
)
def test_unknown_names(names, message):
    with pytest.raises(RequestError) as caught:
        task_names(names)
    assert str(caught.value) == message


def test_the_nearest_task_is_suggested():
    with pytest.raises(RequestError, match=r"'SIB200Clustering': did you mean SIB200ClusteringS2S or "):
        task_names("SIB200Clustering")


def test_a_task_without_english_is_refused():
    with pytest.raises(RequestError, match=r"^TenKGnadClassification has no English texts$"):
        make_task("TenKGnadClassification", 42)


def test_mtebs_seed_comes_first():
    assert seeds_from(3) == [42, 43, 44]
    with pytest.raises(RequestError, match=r"^seeds=0: give 1 or more$"):
        seeds_from(0)
