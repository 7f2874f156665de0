"""A benchmark from names to table: complete, resumable, with missing tasks listed."""

from __future__ import annotations

import json
import statistics
from functools import partial

import pytest

from lastword.errors import RequestError
from lastword.evaluation import benchmark
from lastword.evaluation.benchmark.scoring import make_task
from lastword.paper.as_published import published_average
from lastword.uncertainty import compare
from tests.processes import before, run_killed, set_all
from tests.samples import FEW_REPETITIONS, WordEncoder

from .conftest import EMOTION, SIB, write

pytestmark = pytest.mark.usefixtures("few_repetitions")

SIX = (
    "SIB200ClusteringS2S,MasakhaNEWSClusteringS2S,EmotionClassification,"
    "AmazonCounterfactualClassification,Banking77Classification"
)
TWO = "SIB200ClusteringS2S,MasakhaNEWSClusteringS2S"


@pytest.fixture
def settings(copies, tmp_path):
    return {"data_dir": copies, "output": tmp_path / "results", "cache": tmp_path / "cache"}


def result_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


def test_a_benchmark_has_a_row_for_each_subset_and_an_average(settings):
    encoder = WordEncoder()
    result = benchmark(encoder, TWO, **settings)
    assert [(row.task, row.subset, row.score.metric, row.score.n) for row in result.tasks] == [
        ("SIB200ClusteringS2S", "eng_Latn", "v_measure", 105),
        ("MasakhaNEWSClusteringS2S", "eng", "v_measure", 100),
    ]
    assert result.missing == ()
    assert result.average == statistics.fmean(row.score.value for row in result.tasks)
    assert result.average_of_complete == result.average
    assert (len(result.complete), len(result.names), result.model) == (2, 2, "words")
    assert (result.encoded, result.from_cache) == (len(encoder.asked), 0)
    json.dumps(result.to_dict())


def test_missing_tasks_are_listed_and_there_is_no_average(settings, said):
    result = benchmark(WordEncoder(), SIX, **settings)
    assert [(missing.task, missing.subset) for missing in result.missing] == [
        ("AmazonCounterfactualClassification", "en-ext"),
        ("Banking77Classification", None),
    ]
    assert [missing.reason.partition(" (")[0] for missing in result.missing] == [
        "the local copy does not hold it",
        "no network, and not in the cache of datasets",
    ]
    path, revision = "mteb/banking77", "0fd18e25b25c072e09e0d92ab615fda904d66300"
    assert result.missing[1].dataset == f"{path}@{revision}"
    assert result.missing[1].how == (
        f"with a network: hf download {path} --repo-type dataset --revision {revision} "
        f"--local-dir DIR/{path}, then data_dir=DIR"
    )
    assert result.average is None
    whole = [row.score.value for row in result.tasks if row.task != "AmazonCounterfactualClassification"]
    assert (len(result.complete), len(result.names)) == (3, 5)
    assert result.average_of_complete == pytest.approx(statistics.fmean(whole))
    assert "EmotionClassification: test: 60 texts, mteb has 2,000; train: 180 texts, mteb has 16,000" in said


def test_without_any_texts_there_is_no_score(settings, tmp_path):
    result = benchmark(WordEncoder(), "Banking77Classification", **settings | {"data_dir": None})
    assert (result.tasks, result.average, result.average_of_complete) == ((), None, None)


def test_finished_tasks_are_not_scored_again(settings, said):
    first = benchmark(WordEncoder(), SIX, **settings)
    encoder = WordEncoder()
    again = benchmark(encoder, SIX, **settings)
    assert encoder.asked == []
    assert (again.encoded, again.from_cache) == (0, 0)
    for name in ("tasks", "missing", "average_of_complete"):
        assert getattr(again, name) == getattr(first, name)


def test_vectors_come_from_the_cache_for_new_results(settings, tmp_path):
    benchmark(WordEncoder(), SIX, **settings)
    encoder = WordEncoder()
    result = benchmark(encoder, TWO, **settings | {"output": tmp_path / "others"})
    assert encoder.asked == []
    assert result.encoded == 0
    assert result.from_cache == 205


def test_a_run_caches_the_vectors_of_another_pooling(settings, tmp_path, load):
    benchmark(load(pooling="lasttoken"), TWO, also_poolings=["mean"], **settings)
    result = benchmark(load(pooling="mean"), TWO, **settings | {"output": tmp_path / "others"})
    assert (result.encoded, result.from_cache) == (0, 205)
    alone = benchmark(load(pooling="mean"), TWO, **settings | {"output": tmp_path / "alone", "cache": False})
    assert [row.score.value for row in alone.tasks] == pytest.approx(
        [row.score.value for row in result.tasks]
    )


def test_the_papers_average(settings):
    result = benchmark(WordEncoder(), TWO, **settings)
    assert published_average(result.tasks, ["average=test-only"]) == result.average
    assert published_average(result.tasks, []) is None


def test_without_a_cache_no_vectors_are_written(settings, tmp_path):
    benchmark(WordEncoder(), TWO, **settings | {"cache": False})
    assert not (tmp_path / "cache").exists()


def test_mteb_reads_the_results(settings):
    import mteb

    result = benchmark(WordEncoder(), TWO, **settings)
    folder = settings["output"]
    (revision,) = (folder / "results" / "lastword__words-1").iterdir()
    assert sorted(path.name for path in revision.iterdir()) == [
        "MasakhaNEWSClusteringS2S.json",
        "SIB200ClusteringS2S.json",
        "model_meta.json",
    ]
    read = mteb.ResultCache(folder).load_task_result(
        "SIB200ClusteringS2S", "lastword/words-1", revision.name, raise_if_not_found=True
    )
    assert read.get_score() == pytest.approx(result.tasks[0].score.value, abs=1e-6)
    assert read.dataset_revision.startswith("local-")  # so small a copy is not mteb's set
    frame = mteb.ResultCache(folder).load_results(
        models=["lastword/words-1"], tasks=["SIB200ClusteringS2S"], require_model_meta=True
    )
    assert [result.model_name for result in frame.model_results] == ["lastword/words-1"]


def test_two_models_do_not_share_results(settings):
    first = benchmark(WordEncoder("words-1"), TWO, **settings)
    second = benchmark(WordEncoder("words-2"), TWO, **settings)
    assert first.average != second.average
    assert len(list((settings["output"] / "results").iterdir())) == 2


def test_another_copy_is_scored_again(settings, copies):
    before = benchmark(WordEncoder(), "SIB200ClusteringS2S", **settings)
    write(copies / "SIB200ClusteringS2S.jsonl", SIB[:-3])
    after = benchmark(WordEncoder(), "SIB200ClusteringS2S", **settings)
    assert (before.tasks[0].score.n, after.tasks[0].score.n) == (105, 102)


def test_mtebs_own_texts_need_no_copy_once_they_are_scored(settings, data_folder):
    encoder = WordEncoder()
    with_copy = benchmark(encoder, "SIB200ClusteringS2S", **settings | {"data_dir": data_folder})
    assert with_copy.tasks[0].texts == "equal to mteb's statistics"
    without = benchmark(encoder, "SIB200ClusteringS2S", **settings | {"data_dir": None})
    assert without.tasks == with_copy.tasks


def test_a_damaged_result_is_computed_again(settings, said):
    first = benchmark(WordEncoder(), TWO, **settings)
    (path,) = (settings["output"] / "lastword").rglob("SIB200ClusteringS2S-42.json")
    content = path.read_bytes()
    for damaged in (b"", b"{", b"[]", b'{"subsets": 3}', content.replace(b'"n": 105', b'"n": 106')):
        path.write_bytes(damaged)
        said.clear()
        again = benchmark(WordEncoder(), TWO, **settings)
        assert again.tasks == first.tasks
        assert said[0] == f"{path} is damaged: the task is scored again"


def test_seeds_repeat_a_task_with_other_draws(settings):
    first = benchmark(WordEncoder(), TWO, **settings)
    three = benchmark(WordEncoder(), TWO, **settings, seeds=3)
    for single, row in zip(first.tasks, three.tasks, strict=True):
        assert row.score == row.seeds[0] == single.score
        assert len({score.value for score in row.seeds}) == 3
        assert row.mean.value == pytest.approx(statistics.fmean(score.value for score in row.seeds))
    assert three.encoded == 0
    names = [path.name for path in (settings["output"] / "lastword").rglob("*.json")]
    assert sorted(names)[:3] == [f"MasakhaNEWSClusteringS2S-{seed}.json" for seed in (42, 43, 44)]


def test_a_killed_benchmark_resumes(settings):
    """The process scores two tasks, embeds the training texts of the third and is killed before its test texts."""
    names, moment = f"{TWO},EmotionClassification", before("tests.samples.WordEncoder.encode", 8)
    run_killed(
        moment, benchmark, WordEncoder(), names, **settings, prepare=[partial(set_all, FEW_REPETITIONS)]
    )
    done = {path.name for path in (settings["output"] / "lastword").rglob("*.json")}
    assert done == {"SIB200ClusteringS2S-42.json", "MasakhaNEWSClusteringS2S-42.json"}
    encoder = WordEncoder()
    resumed = benchmark(encoder, names, **settings)
    assert len(encoder.asked) == sum(split == "test" for _, _, split in EMOTION)
    whole = benchmark(WordEncoder(), names, **settings | {"output": settings["output"] / "whole"})
    assert resumed.tasks == whole.tasks


def test_a_task_object_is_fresh_for_every_model(settings):
    """The generator of a used object is not reset, so its next draw differs."""
    first = benchmark(WordEncoder(), "SIB200ClusteringS2S", **settings)
    second = benchmark(
        WordEncoder(), "SIB200ClusteringS2S", **settings | {"output": settings["output"] / "x"}
    )
    assert first.tasks == second.tasks
    assert make_task("SIB200ClusteringS2S", 42) is not make_task("SIB200ClusteringS2S", 42)


def test_two_models_are_compared_task_by_task(settings):
    words, counts = benchmark(WordEncoder(), TWO, **settings), benchmark("tfidf", TWO, **settings)
    differences = words.against(counts)
    assert list(differences) == [("SIB200ClusteringS2S", "eng_Latn"), ("MasakhaNEWSClusteringS2S", "eng")]
    for row, other in zip(words.tasks, counts.tasks, strict=True):
        assert differences[row.task, row.subset] == compare(row.score, other.score)


def test_a_benchmark_of_a_decoder_and_of_tfidf(settings, load, llama_folder):
    result = benchmark(str(llama_folder), TWO, **settings, template="ccw", pooling="lasttoken", device="cpu")
    assert (result.template, result.pooling, result.encoded) == ("ccw", "lasttoken", 205)
    words = benchmark("tfidf", TWO, **settings)
    assert (words.model, words.encoded) == ("tfidf", None)
    assert words.average > 0.3


@pytest.mark.parametrize(
    ("request_settings", "message"),
    [
        ({"seeds": 0}, "seeds=0: give 1 or more"),
        ({"data_dir": "nowhere"}, "no folder data_dir='nowhere': give one with copies of the data sets"),
        ({"pooling": "mean", "model": "tfidf"}, "pooling='mean': tfidf takes no pooling; leave it out"),
    ],
)
def test_invalid_requests(settings, request_settings, message):
    with pytest.raises(RequestError) as caught:
        benchmark(**{"model": WordEncoder(), "benchmarks": TWO, **settings, **request_settings})
    assert str(caught.value) == message


def test_texts_that_cannot_be_scored_do_not_end_the_others(settings, copies):
    write(copies / "emotion.jsonl", [(text, "joy", split) for text, _, split in EMOTION])
    result = benchmark(WordEncoder(), f"EmotionClassification,{TWO}", **settings)
    assert len(result.tasks) == 2
    (missing,) = result.missing
    assert missing.task == "EmotionClassification"
    assert missing.reason.startswith(
        "its texts cannot be scored (This solver needs samples of at least 2 classes"
    )
