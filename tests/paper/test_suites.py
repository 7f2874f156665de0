"""A set that has the name of an MTEB task is scored whole and by MTEB's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.evaluation.benchmark.names import PAPER_CLASSIFICATION, PAPER_CLUSTERING, PAPER_EIGHT
from lastword.paper.suites import TASKS, suite_of


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
    suite = suite_of("clustering", data, all_tasks=False, max_texts=30)
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


def test_the_paper_scale_has_the_papers_lists() -> None:
    lists = {kind: suite_of(kind, None, all_tasks=True, max_texts=1000) for kind in TASKS}
    assert lists["eight"].tasks == PAPER_EIGHT
    assert lists["clustering"].tasks == PAPER_CLUSTERING
    assert lists["classification"].tasks == PAPER_CLASSIFICATION
    assert all(not suite.files for suite in lists.values())


def test_without_texts_there_are_only_the_bundled_ones(tmp_path: Path) -> None:
    assert suite_of("clustering", None, all_tasks=False, max_texts=None).names == ["topics", "products"]
    assert suite_of("classification", tmp_path, all_tasks=False, max_texts=None) is None
