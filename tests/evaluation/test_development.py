"""Development texts as they are named on a command line, and their score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lastword.errors import RequestError, TableError
from lastword.evaluation import ClusterScorer, cluster_score
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.uncertainty import combine, compare
from tests.samples import TableEncoder, clouds, topic_texts

Refused = Callable[..., str]


def test_one_file_with_its_split(labelled_file: Path) -> None:
    sets = read_development([f"{labelled_file}:train"])
    assert sets == {"tickets (train)": topic_texts(12, seed=1)}


def test_a_split_for_all_files_and_one_for_a_single_file(labelled_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes(labelled_file.read_bytes())
    sets = read_development([str(labelled_file), f"{other}:test"], split="train")
    assert {name: len(texts) for name, (texts, _) in sets.items()} == {
        "tickets (train)": 36,
        "other (test)": 30,
    }


def test_each_column_of_labels_is_a_set(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text("text,topic,mood\na,x,good\nb,y,bad\nc,x,bad\n")
    assert read_development([str(path)], label_columns=["topic", "mood"]) == {
        "mail, topic": (["a", "b", "c"], ["x", "y", "x"]),
        "mail, mood": (["a", "b", "c"], ["good", "bad", "bad"]),
    }


def test_a_file_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a:b.csv"
    path.write_text("text,label\nx,1\ny,2\n")
    assert list(read_development([str(path)])) == ["a:b"]


def test_the_bundled_sets_are_development_splits() -> None:
    assert list(read_development(BUNDLED_DEVELOPMENT)) == ["topics (dev)", "products (dev)"]


def test_what_cannot_be_read(labelled_file: Path, tmp_path: Path, refused: Refused) -> None:
    assert refused(TableError, read_development, [f"{labelled_file}:dev"]) == (
        f"{labelled_file} has no row with split = 'dev'; the values there are: test, train"
    )
    assert refused(RequestError, read_development, [f"{labelled_file}:test"] * 2) == (
        "two development sets are called 'tickets (test)': rename a file"
    )
    path = tmp_path / "same.csv"
    path.write_text("text,label\nx,1\ny,1\n")
    assert refused(RequestError, read_development, [str(path)]) == (
        "same has one label only ('1'): clustering needs at least two"
    )


def test_the_score_over_sets_is_their_mean_with_the_error_of_both() -> None:
    vectors, labels = clouds(60, 3, spread=2.5)
    others, kinds = clouds(40, 4, spread=3.0, seed=1)
    table = {f"a{i}": row for i, row in enumerate(vectors)} | {f"b{i}": row for i, row in enumerate(others)}
    encoder = TableEncoder(table)
    sets = {
        "a": ([f"a{i}" for i in range(60)], labels),
        "b": ([f"b{i}" for i in range(40)], kinds),
    }
    scorer = ClusterScorer(sets)
    score = scorer(encoder)  # type: ignore[arg-type]
    parts = [cluster_score(encoder, *part, bootstrap_size=4096) for part in sets.values()]  # type: ignore[arg-type]
    assert score == combine(parts)
    assert score.value == pytest.approx(np.mean([part.value for part in parts]))
    assert score.draw_se == pytest.approx(np.hypot(*(part.draw_se for part in parts)) / 2, rel=0.6)
    assert score.draw_se > 0
    assert compare(score, scorer(encoder)).value == 0  # type: ignore[arg-type]
    assert ClusterScorer({"a": sets["a"]})(encoder) == parts[0]  # type: ignore[arg-type]
