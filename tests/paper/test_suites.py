"""A set that has the name of an MTEB task is scored whole and by MTEB's own code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.evaluation.benchmark.names import PAPER_CLASSIFICATION, PAPER_CLUSTERING, PAPER_EIGHT
from lastword.paper.scales import SCALES
from lastword.paper.suites import TASKS, suite_of

pytestmark = pytest.mark.usefixtures("few_repetitions")


class RandomVectors:
    identity = "random-vectors"

    def encode(self, texts: list[str], /) -> np.ndarray:
        seeds = [sum(map(ord, text)) for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(8) for seed in seeds]).astype("float32")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "clustering").mkdir()
    labels = ["business", "health", "sports"] * 20
    table = {
        "text": [f"{label} {i}" for i, label in enumerate(labels)],
        "label": labels,
        "split": ["test"] * 60,
    }
    splits = ["train", "validation", "test"] * 20
    for name in ("sib200_eng", "masakhanews_eng", "stackoverflow_titles"):
        own = {"split": splits} if name == "sib200_eng" else {}
        pq.write_table(pa.table({**table, **own}), tmp_path / "clustering" / f"{name}.parquet")
    return tmp_path


def test_tasks_are_scored_whole_by_mtebs_code_and_files_are_sampled(data: Path, tmp_path: Path) -> None:
    suite = suite_of("clustering", data, replace(SCALES["mini"], max_texts=30))
    assert suite is not None
    assert suite.tasks == ("MasakhaNEWSClusteringS2S", "SIB200ClusteringS2S")
    scores = suite.score(RandomVectors(), tmp_path / "results")
    assert list(scores) == suite.names == [*suite.tasks, "Stack Overflow titles"]
    assert {name: score.n for name, score in scores.items()} == {
        "MasakhaNEWSClusteringS2S": 60, "SIB200ClusteringS2S": 60, "Stack Overflow titles": 30,
    }  # fmt: skip
    masakha, sib = (scores[name] for name in suite.tasks)
    assert masakha.value != sib.value, (
        "the same texts by the older protocol, in five sets, and by the newer one"
    )
    assert "whole" in suite.description
    assert "at most 30 texts" in suite.description


@pytest.mark.parametrize(("most", "whole"), [(60, True), (59, False)])
def test_a_sampled_scale_scores_a_task_whole_only_if_it_is_small_enough(
    data: Path, tmp_path: Path, most: int, whole: bool
) -> None:
    suite = suite_of("clustering", data, replace(SCALES["small"], max_texts=most))
    assert suite is not None
    tasks = ("MasakhaNEWSClusteringS2S", "SIB200ClusteringS2S")
    assert suite.tasks == (tasks if whole else ())
    assert suite.names[:2] == (list(tasks) if whole else ["MasakhaNEWS", "SIB-200"])
    assert {score.n for score in suite.score(RandomVectors(), tmp_path / "results").values()} <= {60, most}
    assert len(suite.known_texts()) == (180 if whole else 177)


def test_a_sampled_classification_is_scored_on_few_of_its_test_texts(tmp_path: Path) -> None:
    (tmp_path / "classification").mkdir()
    rows = [
        (f"{label} {i}", label, split)
        for split in ("train", "test")
        for i in range(40)
        for label in ("joy", "fear")
    ]
    columns = dict(zip(("text", "label", "split"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "classification" / "emotion.parquet")
    suite = suite_of("emotion", tmp_path, replace(SCALES["small"], max_texts=12))
    assert suite is not None
    (score,) = suite.score(RandomVectors(), tmp_path / "results").values()
    assert (score.n, score.metric) == (12, "accuracy")


def test_the_paper_scale_has_the_papers_lists() -> None:
    lists = {kind: suite_of(kind, None, SCALES["paper"]) for kind in TASKS}
    assert lists["eight"].tasks == PAPER_EIGHT
    assert lists["clustering"].tasks == PAPER_CLUSTERING
    assert lists["classification"].tasks == PAPER_CLASSIFICATION
    assert all(not suite.files for suite in lists.values())


def test_without_texts_there_are_only_the_bundled_ones(tmp_path: Path) -> None:
    assert suite_of("clustering", None, SCALES["mini"]).names == ["topics", "products"]
    assert suite_of("classification", tmp_path, SCALES["mini"]) is None
