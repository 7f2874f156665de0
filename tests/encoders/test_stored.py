"""Vectors in files: found by their texts, in every layout, and refused where they are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.corpus.embed import embed_corpus
from lastword.encoders.stored import StoredVectors, check_stored, is_stored
from lastword.errors import RequestError, TableError

Refused = Callable[..., str]
TEXTS = ["a river", "a house", "the car"]


class Letters:
    """A text's vector counts some letters."""

    identity = name = "letters"

    def encode(self, texts: Any, /) -> np.ndarray:
        return np.array([[text.count(letter) for letter in "aehr"] for text in texts], np.float32)


def table(tmp_path: Path, vectors: list[Any], texts: list[str] = TEXTS) -> Path:
    pq.write_table(pa.table({"text": texts, "vector": vectors}), tmp_path / "vectors.parquet")
    return tmp_path / "vectors.parquet"


@pytest.mark.parametrize("layout", ["parquet", "arrow", "npy"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_embed_writes_is_read(tmp_path: Path, layout: str, dtype: str) -> None:
    (tmp_path / "texts.csv").write_text("message,other\n" + "".join(f"{text},1\n" for text in TEXTS))
    model: Any = Letters()
    embed_corpus(
        tmp_path / "texts.csv", tmp_path / "out", model, layout=layout, vector_dtype=dtype,
        text_column="message", vector_column="v",
    )  # fmt: skip
    assert is_stored(tmp_path / "out")
    check_stored(tmp_path / "out")
    stored = StoredVectors(tmp_path / "out")
    order = [2, 0, 2]
    vectors = stored.encode([TEXTS[row] for row in order])
    expected = model.encode(TEXTS)[order]
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=1e-3)


def test_a_table_and_its_identity(tmp_path: Path) -> None:
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    file = table(tmp_path, rows)
    assert is_stored(file)
    assert not is_stored(tmp_path)
    assert not is_stored("mini")
    check_stored(file)
    first = StoredVectors(file)
    assert first.encode(TEXTS[1:]).tolist() == rows[1:]
    assert first.name == str(file)
    others = [(rows[::-1], TEXTS), (rows, TEXTS[::-1])]
    identities = {StoredVectors(table(tmp_path, *other)).identity for other in others}
    assert len(identities | {first.identity}) == 3
    assert StoredVectors(table(tmp_path, rows)).identity == first.identity
    lines = tmp_path / "vectors.jsonl"
    lines.write_text('{"text": "a", "vector": [1, 2.5]}\n{"text": "b", "vector": [0, 1]}\n')
    assert StoredVectors(lines).encode(["b", "a"]).tolist() == [[0, 1], [1, 2.5]]


def test_what_is_no_set_of_vectors(tmp_path: Path, refused: Refused) -> None:
    file = table(tmp_path, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    message = refused(RequestError, StoredVectors(file).encode, [*TEXTS, "new", "newer", "new"])
    assert message == f"{file} has no vectors of 2 of 5 texts, such as 'new': embed all of them"
    message = refused(TableError, StoredVectors, table(tmp_path, [[1.0], [3.0, 4.0], [5.0]]))
    assert message.endswith("lists of numbers of one length, and has vectors of 1 and of 2 numbers")
    for cells in ([1.0, 2.0, 3.0], ["a", "b", "c"], [[[1.0]], [[2.0]], [[3.0]]], [[1.0], None, [2.0]]):
        assert "lists of numbers" in refused(TableError, StoredVectors, table(tmp_path, cells))
    message = refused(TableError, StoredVectors, table(tmp_path, [[], [], []]))
    assert message.endswith("lists of numbers of one length, and has empty ones")
    for value in (float("nan"), float("inf")):
        file = table(tmp_path, [[1.0, value], [3.0, 4.0], [5.0, 6.0]])
        assert refused(TableError, StoredVectors, file) == (
            f"{file}: 1 of 3 vectors have values that are not finite: embed the texts again"
        )
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "x.parquet")
    assert "has no column 'vector'" in refused(TableError, check_stored, tmp_path / "x.parquet")


def test_folders_that_do_not_hold_the_vectors_themselves(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"{text}\n" for text in TEXTS))
    model: Any = Letters()
    embed_corpus(tmp_path / "texts.csv", tmp_path / "int8", model, vector_dtype="int8")
    assert "has vectors of type int8: embed the texts again" in refused(
        RequestError, check_stored, tmp_path / "int8"
    )
    embed_corpus(tmp_path / "texts.csv", tmp_path / "npy", model, layout="npy")
    np.save(tmp_path / "npy" / "vectors.npy", np.zeros((2, 4), np.float32))
    message = refused(TableError, StoredVectors, tmp_path / "npy")
    assert message == f"{tmp_path / 'npy'} has 2 vectors for 3 texts: embed them again"
