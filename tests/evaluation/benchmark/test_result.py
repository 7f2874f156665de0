"""Scores of tasks: which are marked, and how two models are compared."""

from __future__ import annotations

import dataclasses
import json

import pytest

from lastword.errors import RequestError
from lastword.evaluation import BenchmarkResult, TaskScore
from lastword.evaluation.benchmark.result import MissingTask
from lastword.uncertainty import HALVES, Score, combine, compare

HALVED = tuple((0.5 + 0.01 * (-1) ** row,) for row in range(HALVES))
SCORE = Score("v_measure", 0.5, (0.49, 0.5, 0.51), HALVED, 2000, "sample")
TASK = TaskScore("Task", "default", 2000, "equal", ("test",), (SCORE,))


def task(value: float, name: str = "Task", **changes: object) -> TaskScore:
    return dataclasses.replace(TASK, task=name, seeds=(dataclasses.replace(SCORE, value=value, **changes),))


def result(*tasks: TaskScore, missing: tuple[MissingTask, ...] = ()) -> BenchmarkResult:
    names = tuple(dict.fromkeys(row.task for row in (*tasks, *missing)))
    return BenchmarkResult("model", None, None, names, tasks, missing, None, None, "folder", 1.0)


def test_few_documents_are_marked() -> None:
    assert dataclasses.replace(task(0.5, n=81), documents=2048).few_documents
    assert not dataclasses.replace(task(0.5, n=81), documents=81).few_documents
    assert not dataclasses.replace(task(0.5, n=1500), documents=37_500).few_documents
    assert task(0.5).to_dict()["few_documents"] is False


def test_other_seeds_are_kept_and_compared_but_the_score_is_that_of_mtebs_own() -> None:
    other = dataclasses.replace(SCORE, value=0.6, sample="other")
    row = dataclasses.replace(TASK, seeds=(SCORE, other))
    assert row.score == SCORE
    assert row.mean == combine([SCORE, other])
    assert [score["value"] for score in row.to_dict()["seeds"]] == [0.5, 0.6]


def test_two_models_are_compared_task_by_task() -> None:
    first = result(task(0.5), task(0.7, "Second"), task(0.3, "Third"))
    second = result(task(0.5), task(0.4, "Second"))
    differences = first.against(second)
    assert list(differences) == [("Task", "default"), ("Second", "default")]
    assert differences["Second", "default"] == compare(task(0.7).mean, task(0.4).mean)
    assert [difference.verdict for difference in differences.values()] == ["not distinguishable", "better"]


def test_scores_of_other_texts_do_not_compare() -> None:
    with pytest.raises(RequestError, match="scores of different texts or protocols cannot be compared"):
        result(task(0.5)).against(result(task(0.5, sample="other")))


def test_there_is_an_average_only_if_nothing_is_missing() -> None:
    whole = result(task(0.5), task(0.7, "Second"))
    assert whole.average == whole.average_of_complete == pytest.approx(0.6)
    missing = MissingTask("Second", "en-ext", "no network", "path@revision", "hf download")
    part = result(task(0.5), task(0.7, "Second"), missing=(missing,))
    assert (part.average, part.average_of_complete, list(part.complete)) == (None, 0.5, ["Task"])
    content = json.loads(json.dumps(part.to_dict()))
    assert content["missing"][0]["subset"] == "en-ext"
    assert (content["average"], content["average_of_complete"], content["complete"]) == (None, 0.5, 1)
    assert result(missing=(missing,)).average_of_complete is None
