"""The sample: distinct texts, uniform, in three parts that share none; too few texts or labels are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.adaptation.request import Request, check_request
from lastword.adaptation.texts import Sample, draw_sample, read_sample, write_sample
from lastword.errors import RequestError, TableError


def request(
    tmp_path: Path, label_column: str | None = None, max_texts: int = 10_000, **columns: list[object]
) -> Request:
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table(columns), file)
    return check_request(file, tmp_path / "out", label_column=label_column, max_texts=max_texts, map="pca")


def parts(sample: Sample) -> list[set[str]]:
    return [set(part.texts) for part in (sample.training, sample.development, sample.test)]


def test_the_parts_share_no_text(tmp_path: Path) -> None:
    """Nor do they where texts differ in case and white space only."""
    texts = [f"text number {n}" for n in range(1000)]
    sample = draw_sample(request(tmp_path, text=[*texts, *(f"Text  number {n}" for n in range(1000))]), 0)
    plain = [{" ".join(text.lower().split()) for text in part} for part in parts(sample)]
    assert sum(map(len, plain)) == len(set().union(*plain)) == 1000
    assert [len(sample.test), len(sample.development), sample.rows] == [200, 100, 2000]


def test_a_text_that_is_repeated_counts_once(tmp_path: Path) -> None:
    texts = ["the same"] * 5000 + [f"text number {n}" for n in range(999)]
    sample = draw_sample(request(tmp_path, text=texts, max_texts=500), 0)
    assert len(sample.texts) == len(set(sample.texts)) == 500
    assert sample.rows == 5999


def test_the_sample_follows_from_the_texts_and_the_seed(tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(1000)]
    forth = draw_sample(request(tmp_path, text=texts, max_texts=300), 0)
    back = draw_sample(request(tmp_path, text=texts[::-1], max_texts=300), 0)
    other = draw_sample(request(tmp_path, text=texts, max_texts=300), 1)
    assert parts(forth) == parts(back) != parts(other)
    assert 100 < sum(int(text.split()[-1]) < 500 for text in forth.texts) < 200, "not uniform"
    write_sample(forth, tmp_path / "sample")
    assert read_sample(tmp_path / "sample") == forth


def test_scored_texts_have_labels_and_the_others_are_trained_on(tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(2000)]
    labels = [f"label {n % 3}" if n % 5 == 0 else None for n in range(2000)]
    sample = draw_sample(request(tmp_path, "topic", text=texts, topic=labels), 0)
    assert len(sample.test) == 80
    assert len(sample.development) == 40
    assert None not in sample.test.labels + sample.development.labels
    assert len(sample.training) == 1880
    assert sample.training.labels.count(None) == 1600


@pytest.mark.parametrize("one_in", [2, 10])
def test_training_texts_are_labelled_as_often_as_the_corpus(one_in: int, tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(10_000)]
    labels = [f"label {n % 3}" if n % one_in == 0 else None for n in range(10_000)]
    sample = draw_sample(request(tmp_path, "topic", text=texts, topic=labels, max_texts=1000), 0)
    found = sum(label is not None for label in sample.training.labels) / len(sample.training)
    assert abs(found - 1 / one_in) < 0.06


def test_a_text_with_and_without_a_label_has_it(tmp_path: Path) -> None:
    texts, labels = [f"text {n}" for n in range(400)] * 2, [None] * 400 + ["one", "two"] * 200
    sample = draw_sample(request(tmp_path, "topic", text=texts, topic=labels), 0)
    assert None not in sample.training.labels


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", "A", " a "] * 100}, "has 1 different texts: adapting needs at least 200"),
        ({"text": [f"t {n}" for n in range(300)], "topic": ["x", "y"] * 40 + [None] * 220},
         "80 different texts have a label in 'topic': give at least 100, or leave label_column out"),
        ({"text": [f"t {n}" for n in range(300)], "topic": ["x"] * 300}, "column 'topic' has 1 different labels"),
        ({"text": [f"t {n}" for n in range(300)], "topic": list(range(300))},
         "column 'topic' has 300 different labels for 300 texts: give a column of categories"),
    ],
)  # fmt: skip
def test_too_little_is_refused(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(TableError, match=message):
        draw_sample(request(tmp_path, "topic" if "topic" in columns else None, **columns), 0)


def test_more_groups_than_different_texts_are_refused_before_training(tmp_path: Path) -> None:
    """The rows are enough, but the texts repeat."""
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": [f"text number {n % 300}" for n in range(900)]}), file)
    with pytest.raises(RequestError, match=r"groups=400: .* has 300 different texts; give 2 … 300"):
        check_request(file, tmp_path / "out", groups=400, map="pca")


def test_a_huge_text_is_shortened(tmp_path: Path) -> None:
    texts = ["word " * 10**6, *(f"text number {n}" for n in range(300))]
    assert max(map(len, draw_sample(request(tmp_path, text=texts), 0).texts)) == 10_000


def test_rows_without_a_text_are_left_out(tmp_path: Path) -> None:
    texts = [None if n % 3 == 0 else "" if n % 3 == 1 else f"text {n}" for n in range(900)]
    sample = draw_sample(request(tmp_path, text=texts), 0)
    assert len(sample.texts) == 300
    assert sample.rows == 900
