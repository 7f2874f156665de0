"""Hard negatives of every shape are read, by one path; what is no text is refused with its row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.errors import TableError
from lastword.experiments.pair_sources import PairSource, draw_samples
from lastword.files.pairs import read_pair_rows
from lastword.pairs import Import, make_pairs
from lastword.pairs.checking import check_pairs, write_fixed
from lastword.training.pairs import read_pairs

Refused = Callable[..., str]
SIDES = {"anchor": ["a0", "a1", "a2", "a3"], "positive": ["p0", "p1", "p2", "p3"]}
EXPECTED = [["n1", "n2"], ["n3"], [], []]


def write(path: Path, **columns: Any) -> Path:
    columns = SIDES | columns
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return path


SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("a.parquet", {"negative": [["n1", "n2"], ["n3"], [], None]}),
    ("a.jsonl", {"negative": [["n1", "n2"], "n3", [""], None]}),
    ("b.jsonl", {"negative": [["n1", None, "n2"], ["n3"], [None], " "]}),
    ("a.csv", {"negative": ['["n1", "n2"]', "n3", "", " "]}),
    ("b.parquet", {"negative_1": ["n1", "n3", "", None], "negative_2": ["n2", None, None, ""]}),
    ("b.csv", {"negative_2": ["n2", "", "", ""], "x": list("abcd"), "negative_1": ["n1", "n3", " ", ""]}),
    ("c.jsonl", {"negative": ["n1", None, None, None], "negative_10": [["n2"], ["n3"], [], []]}),
    (
        "c.parquet",
        {"negative": pa.array(["n1", "n3", None, ""]).dictionary_encode(), "negative_2": ["n2", "", "", ""]},
    ),
]


@pytest.mark.parametrize(("name", "columns"), SHAPES)
def test_negatives_of_every_shape(tmp_path: Path, name: str, columns: dict[str, Any]) -> None:
    path = write(tmp_path / name, **columns)
    assert [negatives for _, _, negatives in read_pair_rows(path)] == EXPECTED
    assert read_pairs([path, path]).negatives == EXPECTED * 2
    (table,) = draw_samples(PairSource("a", (str(path),)), 4, seeds=1)
    assert sorted(table["negative"].to_pylist()) == sorted(EXPECTED)
    pq.write_table(table, tmp_path / "drawn.parquet")
    assert sorted(read_pairs([tmp_path / "drawn.parquet"]).negatives) == sorted(EXPECTED)


@pytest.mark.parametrize("output", ["out.parquet", "out.jsonl", "out.csv"])
@pytest.mark.parametrize(("name", "columns"), SHAPES)
def test_imported_negatives(tmp_path: Path, name: str, columns: dict[str, Any], output: str) -> None:
    path = write(tmp_path / name, **columns)
    made = make_pairs(Import(), path, tmp_path / output).output
    assert read_pairs([made]).negatives == EXPECTED
    write_fixed(check_pairs(made, allow=["very short sides"]), tmp_path / f"fixed-{output}")
    assert read_pairs([tmp_path / f"fixed-{output}"]).negatives == EXPECTED


def test_single_negatives_stay_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", negative=[["n0"], [], None, ["n3"]])
    made = make_pairs(Import(), path, tmp_path / "out.parquet").output
    assert pq.read_table(made)["negative"].to_pylist() == ["n0", "", "", "n3"]


def test_a_column_of_negatives_of_another_name(tmp_path: Path, refused: Refused) -> None:
    path = write(tmp_path / "a.parquet", neg_1=["n1", "n3", "", None], neg_2=["n2", None, None, ""])
    made = make_pairs(Import(negative_column="neg"), path, tmp_path / "out.parquet").output
    assert read_pairs([made]).negatives == EXPECTED
    assert refused(TableError, make_pairs, Import(negative_column="hard"), path, tmp_path / "no.parquet") == (
        f"{path} has no column 'hard'; its columns are: anchor, positive, neg_1, neg_2"
    )


@pytest.mark.parametrize(
    ("name", "columns", "reason"),
    [
        ("a.jsonl", {"negative": ["n", None, 7, "n"]}, "int"),
        ("b.jsonl", {"negative": ["n", None, ["n", {"text": "n"}], "n"]}, "dict"),
        ("c.jsonl", {"negative": ["n", None, [["n"]], "n"]}, "list"),
        ("d.jsonl", {"negative": ["n", None, True, "n"]}, "bool"),
        ("a.parquet", {"negative": ["n"] * 4, "negative_1": [None, None, 2, None]}, "int"),
        ("a.csv", {"negative": ["n", "", "['n', 'm']", "n"]}, "a list that is not JSON"),
    ],
)
def test_negatives_that_are_no_texts(
    tmp_path: Path, refused: Refused, name: str, columns: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path / name, **columns)
    message = (
        f"of 4 rows have empty or non-text cells ({reason} in 'negative'; rows 2, counted from 0); fix them"
    )
    readers = (
        lambda: read_pairs([path]),
        lambda: check_pairs(path),
        lambda: make_pairs(Import(), path, tmp_path / "out.parquet"),
    )
    for reader in readers:
        assert message in refused(TableError, reader).replace("the first ", "")
    assert read_pairs([path], drop_empty=True).anchors == ["a0", "a1", "a3"]
