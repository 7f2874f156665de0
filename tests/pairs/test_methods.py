"""The pairs that each method makes of a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.errors import RequestError, TableError
from lastword.pairs import PRESETS, Crop, Import, Noise, SameLabel, SameText, make_pairs

Refused = Callable[..., str]
DOCUMENTS = [
    "The river was low. It had not rained for weeks, and the boats lay on the mud. Nobody fished any more!",
    "She sold the house in May. The garden went with it. So did the two old apple trees by the wall.",
    "Short.",
]


def rows(path: Path) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return pairs


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(**columns: list[Any]) -> Path:
        path = tmp_path / "texts.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


Table = Callable[..., Path]


def test_noise(table: Table, tmp_path: Path) -> None:
    result = make_pairs(Noise(), table(text=[*DOCUMENTS, "a"]), tmp_path / "out.parquet", seed=4)
    pairs = rows(result.output)
    assert [row["anchor"] for row in pairs] == DOCUMENTS
    assert all(row["positive"] != row["anchor"] for row in pairs)
    assert result.rejected == {"too short to be changed": 1}
    assert pairs[0] | {"positive": ""} == {
        "anchor": DOCUMENTS[0], "positive": "", "negative": "", "source": "texts.parquet:0", "method": "noise",
        "seed": 4, "meta": '{"kinds": ["delete", "swap", "characters"]}',
    }  # fmt: skip


def test_noise_on_both_sides(table: Table, tmp_path: Path) -> None:
    result = make_pairs(Noise(side="both"), table(text=DOCUMENTS[:2]), tmp_path / "out.parquet")
    for row, text in zip(rows(result.output), DOCUMENTS, strict=False):
        assert text not in (row["anchor"], row["positive"])
        assert row["anchor"] != row["positive"]


def test_spans_do_not_overlap(table: Table, tmp_path: Path) -> None:
    text = " ".join(f"w{i}" for i in range(40))
    method = Crop(min_words=4, max_words=9, per_document=20)
    pairs = rows(make_pairs(method, table(text=[text]), tmp_path / "out.parquet").output)
    assert len(pairs) == 20
    for row in pairs:
        pieces = [row["anchor"].split(), row["positive"].split()]
        assert all(4 <= len(piece) <= 9 for piece in pieces)
        assert all(" ".join(piece) in text for piece in pieces)
        assert not set(pieces[0]) & set(pieces[1])
    assert {row["anchor"] < row["positive"] for row in pairs} == {True, False}, "either side may come first"


def test_neighbouring_sentences(table: Table, tmp_path: Path) -> None:
    method = Crop(mode="sentences", min_words=3, per_document=9)
    result = make_pairs(method, table(text=DOCUMENTS), tmp_path / "out.parquet")
    assert {(row["anchor"], row["positive"]) for row in rows(result.output)} == {
        ("The river was low.", "It had not rained for weeks, and the boats lay on the mud."),
        ("It had not rained for weeks, and the boats lay on the mud.", "Nobody fished any more!"),
        ("She sold the house in May.", "The garden went with it."),
        ("The garden went with it.", "So did the two old apple trees by the wall."),
    }
    assert result.rejected == {"too short for two pieces": 1}


def test_labels(table: Table, tmp_path: Path) -> None:
    texts = [f"{label} {i}" for label in "abc" for i in range(5)] + ["one"]
    labels = [*"aaaaabbbbbccccc", "d"]
    file = table(text=texts, label=labels)
    result = make_pairs(SameLabel(file), file, tmp_path / "out.parquet")
    assert (result.pairs, result.rejected) == (15, {"the only text of its label": 1})
    for row in rows(result.output):
        label = json.loads(row["meta"])["label"]
        assert row["anchor"][0] == row["positive"][0] == label
        assert row["anchor"] != row["positive"]
        assert row["negative"][0] != label
    without = make_pairs(SameLabel(file, negatives=False), file, tmp_path / "plain.parquet")
    assert {row["negative"] for row in rows(without.output)} == {""}


def test_copies_of_a_text_and_texts_of_two_labels(table: Table, tmp_path: Path) -> None:
    """Every text has another one of its label, and no pair has the same text twice."""
    texts = [*["copy"] * 40, "other", "both", "both", "rest", "copy", "last"]
    file = table(text=texts, label=[*"a" * 42, *"bbcc"])
    result = make_pairs(SameLabel(file), file, tmp_path / "out.parquet")
    assert (result.pairs, result.rejected) == (len(texts), {})
    for row in rows(result.output):
        assert len({row["anchor"], row["positive"], row["negative"]}) == 3
    file = table(text=["a", "b", "b", "a"], label=[*"xxyy"])
    result = make_pairs(SameLabel(file), file, tmp_path / "none.parquet")
    assert {row["negative"] for row in rows(result.output)} == {""}, "no text has another label only"


def test_the_seed_of_the_texts_that_are_kept_is_a_setting(table: Table) -> None:
    """A resumed run must not mix the draws of two seeds."""
    file = table(text=["a", "b"], label=["x", "y"])
    assert SameLabel(file, seed=1).settings() != SameLabel(file, seed=2).settings()


def test_integer_labels(table: Table, tmp_path: Path) -> None:
    file = table(text=["a", "b", "c", "d"], label=[0, 0, 1, 1])
    assert make_pairs(SameLabel(file), file, tmp_path / "out.parquet").pairs == 4


def test_one_label_is_refused(table: Table, refused: Refused) -> None:
    file = table(text=["a", "b"], label=["x", "x"])
    assert refused(TableError, SameLabel, file) == (
        f"{file}: column 'label' has 1 label; pairs from labels need two"
    )


def test_columns_as_they_are(table: Table, tmp_path: Path) -> None:
    file = table(sent0=["a", "b", "c"], sent1=["A", "b", "C"], hard_neg=["x", "y", ""])
    result = make_pairs(Import(**PRESETS["nli"]), file, tmp_path / "out.parquet")
    pairs = [(row["anchor"], row["positive"], row["negative"]) for row in rows(result.output)]
    assert pairs == [("a", "A", "x"), ("c", "C", "")]
    assert result.rejected == {"both sides are the same": 1}


def test_pairs_below_a_score_are_left_out(table: Table, tmp_path: Path) -> None:
    file = table(sentence1=["a", "b", "c"], sentence2=["A", "B", "C"], score=[5.0, 3.9, 4.0])
    result = make_pairs(Import(**PRESETS["sts"], min_score=4.0), file, tmp_path / "out.parquet")
    assert [row["anchor"] for row in rows(result.output)] == ["a", "c"]
    assert json.loads(rows(result.output)[0]["meta"]) == {"score": 5.0}
    assert result.rejected == {"score below 4": 1}


def test_duplicates_by_their_flag(table: Table, tmp_path: Path) -> None:
    file = table(question1=["a", "b"], question2=["A", "B"], is_duplicate=[True, False])
    result = make_pairs(Import(**PRESETS["duplicates"]), file, tmp_path / "out.parquet")
    assert [row["anchor"] for row in rows(result.output)] == ["a"]


def test_a_text_with_itself(table: Table, tmp_path: Path) -> None:
    result = make_pairs(SameText(), table(text=DOCUMENTS), tmp_path / "out.parquet")
    assert all(row["anchor"] == row["positive"] for row in rows(result.output))


def test_invalid_settings_are_refused(refused: Refused) -> None:
    assert refused(RequestError, Noise, kinds=()) == "kinds is empty: choose from delete, swap, characters"
    assert refused(RequestError, Noise, side="left") == "unknown side 'left': Known: positive, both"
    assert refused(RequestError, Crop, mode="span").startswith("unknown mode 'span': did you mean 'spans'?")
    assert refused(RequestError, Crop, min_words=9, max_words=5) == (
        "min_words=9, max_words=5: the first must be from 1 to the second"
    )
