"""A corpus becomes a store: every row with its columns and vector, in order, whatever happens on the way."""

from __future__ import annotations

import gzip
import json
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from lastword import Store, console, embed_corpus
from lastword.corpus import pieces
from lastword.corpus import texts as texts_module
from lastword.embedding import Embedder
from lastword.embedding.windows import Window
from lastword.errors import (
    ExistingOutputError,
    MissingFileError,
    ModelError,
    NoRowsError,
    RequestError,
    TableError,
    WorkError,
)
from tests.corpus.hashing import HashEncoder
from tests.processes import after_calls, run, run_killed, set_all

Refused = Callable[..., str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of few rows, so that few rows make several shards."""
    monkeypatch.setattr(texts_module, "CHUNK_ROWS", 10)
    return 10


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "texts.csv", range(35))


def write_rows(path: Path, numbers: Any) -> Path:
    path.write_text("text,number\n" + "".join(f"text of row {n},{n}\n" for n in numbers))
    return path


def vectors_of(texts: list[str], identity: str = "hash-1") -> np.ndarray:
    return HashEncoder(identity).encode(texts)


def assert_complete(folder: Path, texts: list[str]) -> None:
    """Each text once, in order, with its own vector."""
    store = Store.open(folder)
    assert store.table(["text"])["text"].to_pylist() == texts
    assert np.array_equal(store.matrix(), vectors_of(texts))


def test_vectors_are_those_of_the_embedder(load: Callable[..., Embedder], tmp_path: Path) -> None:
    """With the prompt for documents, in the order of the rows, and beside all columns with their types."""
    embedder = load(prompts={"document": "a text: "})
    table = pa.table({
        "id": pa.array([7, 8, 9], pa.int16()), "text": ["a cat", "the river was low", "a cat"],
        "tags": [["x"], [], None], "when": pa.array([1, None, 3], pa.timestamp("ns", "UTC")),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "in.parquet")
    result = embed_corpus(tmp_path / "in.parquet", tmp_path / "out", embedder)
    assert (result.rows, result.embedded, result.dim) == (3, 2, 32)
    store = Store.open(tmp_path / "out", embedder)
    assert store.table().equals(table)
    np.testing.assert_allclose(store.matrix(), embedder.encode_document(table["text"].to_pylist()), atol=1e-6)
    whole = pq.read_table(tmp_path / "out")
    assert whole.schema.field("vector").type == pa.list_(pa.float32(), 32)
    assert whole.num_rows == len(store) == 3


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.arrow", "a.feather", "a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.txt"]
)
def test_every_format_gives_the_same_store(tmp_path: Path, name: str, small_chunks: int) -> None:
    texts, path = [f"text {n}" for n in range(25)], tmp_path / name
    if name.endswith((".arrow", ".feather")):
        feather.write_feather(pa.table({"text": texts}), path)
    elif name.endswith(".parquet"):
        pq.write_table(pa.table({"text": texts}), path)
    else:
        lines = [json.dumps({"text": text}) if "json" in name else text for text in texts]
        content = "\n".join([*(["text"] if "sv" in name else []), *lines]).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    embed_corpus(path, tmp_path / "out", HashEncoder())
    assert_complete(tmp_path / "out", texts)
    assert [shard["rows"] for shard in Store.open(tmp_path / "out").manifest["shards"]] == [10, 10, 5]


def test_several_files_patterns_and_addresses(tmp_path: Path, small_chunks: int) -> None:
    import fsspec

    for part in range(3):
        write_rows(tmp_path / f"part-{part}.csv", range(part * 7, part * 7 + 7))
    texts = [f"text of row {n}" for n in range(21)]
    for inputs in (
        str(tmp_path / "part-*.csv"), [tmp_path / f"part-{part}.csv" for part in range(3)],
        [str(tmp_path / "**" / "part-[01].csv"), tmp_path / "part-2.csv"], f"file://{tmp_path}/part-?.csv",
    ):  # fmt: skip
        embed_corpus(inputs, tmp_path / "out", HashEncoder(), overwrite=True)
        assert_complete(tmp_path / "out", texts)
    memory = fsspec.filesystem("memory")
    for part in range(3):
        memory.pipe(f"/bucket/part-{part}.csv", (tmp_path / f"part-{part}.csv").read_bytes())
    embed_corpus("memory://bucket/*.csv", tmp_path / "out", HashEncoder(), overwrite=True)
    assert_complete(tmp_path / "out", texts)


@pytest.mark.parametrize(
    ("dtype", "width", "tolerance"),
    [("float32", 16, 0), ("float16", 16, 1e-3), ("int8", 16, 6e-3), ("binary", 2, None)],
)
def test_vectors_are_read_back_in_every_format(
    tmp_path: Path, csv: Path, dtype: str, width: int, tolerance: float | None
) -> None:
    embed_corpus(csv, tmp_path / "out", HashEncoder(), vector_dtype=dtype)
    store, expected = Store.open(tmp_path / "out"), vectors_of([f"text of row {n}" for n in range(35)])
    kind = pa.uint8() if dtype == "binary" else pa.from_numpy_dtype(np.dtype(dtype))
    assert pq.read_table(tmp_path / "out").schema.field("vector").type == pa.list_(kind, width)
    if tolerance is None:
        assert np.array_equal(store.matrix() > 0, expected > 0)
        assert np.allclose(np.linalg.norm(store.matrix(), axis=1), 1)
    else:
        np.testing.assert_allclose(store.matrix(), expected, atol=tolerance)


def test_rows_and_columns_that_a_store_has_not(tmp_path: Path, csv: Path, refused: Refused) -> None:
    embed_corpus(csv, tmp_path / "out", HashEncoder())
    store = Store.open(tmp_path / "out")
    assert len(store.take([])) == 0
    assert store.take([34, 0], ["text"])["text"].to_pylist() == [
        store.table()["text"][row].as_py() for row in (34, 0)
    ]
    for rows in ([-1], [3, 35]):
        assert refused(RequestError, store.take, rows) == (
            f"rows has {rows[-1]}: {store.folder} has 35 rows, from 0 on"
        )
    for rows in ([True] * 35, [1.5], "a", [[1]]):
        assert "give a list of whole numbers" in refused(RequestError, store.take, rows)
    for read in (partial(store.take, [0]), store.table, partial(store.shard, 0)):
        assert refused(RequestError, read, ["texts"]).startswith(
            "unknown column 'texts': did you mean 'text'?"
        )
        assert refused(RequestError, read, "text") == "columns is str: give a list"
    assert refused(RequestError, store.shard, 1) == f"number=1: {store.folder} has 1 shards, from 0 on"
    assert "give a loaded model" in refused(RequestError, Store.open, store.folder, "mini")


def test_int8_is_that_of_sentence_transformers(tmp_path: Path, csv: Path) -> None:
    from sentence_transformers.util.quantization import quantize_embeddings

    embed_corpus(csv, tmp_path / "out", HashEncoder(), vector_dtype="int8")
    store, vectors = Store.open(tmp_path / "out"), vectors_of([f"text of row {n}" for n in range(35)])
    theirs = quantize_embeddings(
        vectors, "int8", ranges=np.array([store.vector_format.low, store.vector_format.high])
    )
    ours = store.stored(store.shard(0))
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1, "they truncate, we round"
    embed_corpus(csv, tmp_path / "bits", HashEncoder(), vector_dtype="binary")
    bits = Store.open(tmp_path / "bits")
    assert np.array_equal(bits.stored(bits.shard(0)), quantize_embeddings(vectors, "ubinary"))


def test_truncated_vectors_have_length_1(tmp_path: Path, csv: Path, refused: Refused) -> None:
    embed_corpus(csv, tmp_path / "out", HashEncoder(), truncate_dim=5)
    matrix, full = Store.open(tmp_path / "out").matrix(), vectors_of([f"text of row {n}" for n in range(35)])
    np.testing.assert_allclose(
        matrix, full[:, :5] / np.linalg.norm(full[:, :5], axis=1, keepdims=True), atol=1e-6
    )
    message = refused(RequestError, embed_corpus, csv, tmp_path / "no", HashEncoder(), truncate_dim=17)
    assert message == "truncate_dim=17: vectors have 16 dimensions; use 1 … 16"
    assert not (tmp_path / "no.partial").exists()


def test_rows_without_a_usable_text_are_listed(tmp_path: Path, small_chunks: int) -> None:
    cells: list[Any] = [
        "a",
        "",
        "b",
        None,
        5,
        " ",
        "tokenless",
        ["x"],
        "diverging",
        "c",
        "\ud83d",
        "d",
        "tokenless",
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": cell, "n": n}) + "\n" for n, cell in enumerate(cells)))
    result = embed_corpus(path, tmp_path / "out", HashEncoder())
    assert_complete(tmp_path / "out", ["a", "b", "c", "d"])
    listed = [json.loads(line) for line in (tmp_path / "out" / "_rejected.jsonl").read_text().splitlines()]
    assert {row["row"]: row["reason"] for row in listed} == {
        1: "empty", 3: "null", 4: "int", 5: "empty", 6: "no token", 7: "list", 8: "no finite vector",
        10: "half a character", 12: "no token",
    }  # fmt: skip
    assert {row["file"] for row in listed} == {str(path)}
    assert result.rejected == {
        "empty": 2, "no token": 2, "null": 1, "int": 1, "list": 1, "no finite vector": 1, "half a character": 1
    }  # fmt: skip


def test_what_the_encoder_says_is_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("a\nlong\nb\nlonger\nfailing\ntokenless\n")
    assert embed_corpus(path, tmp_path / "out", HashEncoder()).rejected == {
        "long has more than 8 tokens: cut it": 1, "longer has more than 8 tokens: cut it": 1,
        "the server answered 500": 1, "no token": 1,
    }  # fmt: skip


def test_texts_of_parquet_that_are_no_utf8(tmp_path: Path) -> None:
    cells = pa.array([b"good", b"bad \xff byte", b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": cells}), tmp_path / "in.parquet")
    embed_corpus(tmp_path / "in.parquet", tmp_path / "out", HashEncoder())
    assert_complete(tmp_path / "out", ["good", "fine"])
    assert '"row": 1, "reason": "not UTF-8 at byte 4"' in (tmp_path / "out" / "_rejected.jsonl").read_text()


def test_bytes_that_are_no_text_are_found_before_the_model_is_asked(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes("größe\n".encode() * 500_000 + b"gr\xf6\xdfe\n")
    encoder = HashEncoder()
    message = refused(TableError, embed_corpus, path, tmp_path / "out", encoder)
    assert message.startswith(f"{path}, line 500001: byte 0xf6 is not utf-8; pass encoding=")
    assert not encoder.encoded


def test_rows_of_unknown_number_are_read_for_a_forecast(
    tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = texts_module.Corpus.find(csv, "text")
    rows = corpus.count()
    monkeypatch.setattr(texts_module, "count_rows", lambda file: 0)  # as of a data set on the Hub
    assert (corpus.count(), corpus.count_read()) == (0, rows)


def test_equal_texts_are_embedded_once(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("same\nother\n" * 20_000)
    encoder = HashEncoder()
    result = embed_corpus(tmp_path / "in.txt", tmp_path / "out", encoder)
    assert_complete(tmp_path / "out", ["same", "other"] * 20_000)
    assert result.embedded == 6, "two in each of three shards"
    assert encoder.encoded == ["same", "other"]


def test_columns_that_differ(tmp_path: Path, refused: Refused, said: list[str], small_chunks: int) -> None:
    """A missing column is null, numbers and texts become text; a file without texts is refused."""
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "a{n}", "x": {n}}}\n' for n in range(12)))
    (tmp_path / "b.jsonl").write_text('{"text": "b", "x": 0.5, "y": "new"}\n' * 9)
    (tmp_path / "c.jsonl").write_text('{"text": "c", "x": "seven", "y": "new"}\n')
    paths = [tmp_path / f"{name}.jsonl" for name in "abc"]
    embed_corpus(paths, tmp_path / "out", HashEncoder())
    store = Store.open(tmp_path / "out")
    assert store.columns == ["text", "x", "y"]
    rows = store.table().to_pylist()
    assert rows[3] == {"text": "a3", "x": "3", "y": None}
    assert rows[12] == {"text": "b", "x": "0.5", "y": "new"}
    assert rows[21] == {"text": "c", "x": "seven", "y": "new"}
    assert said[0] == f"{paths[1]} and {paths[0]} do not have the same columns (y): missing cells are null"
    embed_corpus(paths, tmp_path / "again", HashEncoder())
    assert sum("do not have the same columns" in line for line in said) == 2, "of two files, once each"
    assert pq.read_table(tmp_path / "out").num_rows == 22, "all shards have the same columns"
    write_rows(tmp_path / "d.csv", range(3)).write_text("body,title\na b c,d e f\n")
    message = refused(TableError, embed_corpus, [*paths, tmp_path / "d.csv"], tmp_path / "no", HashEncoder())
    assert message == f"{tmp_path / 'd.csv'} has no column 'text'; its columns are: body, title"


def test_parts_without_rows_are_left_out(tmp_path: Path, refused: Refused, said: list[str]) -> None:
    """Programs that write a table in parts leave empty ones; a corpus of nothing else is refused."""
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "part-0.parquet")
    (tmp_path / "part-1.jsonl").write_text("")
    (tmp_path / "part-2.csv").write_text("text\n")
    message = refused(NoRowsError, embed_corpus, str(tmp_path / "part-*"), tmp_path / "out", HashEncoder())
    assert (
        message == f"{tmp_path / 'part-0.parquet'} and 2 more have no rows: give a file with at least one row"
    )
    (tmp_path / "part-3.csv").write_text("text\na\n")
    embed_corpus(str(tmp_path / "part-*"), tmp_path / "out", HashEncoder())
    assert_complete(tmp_path / "out", ["a"])
    assert f"{tmp_path / 'part-2.csv'} has no rows and is left out" in said


def test_types_that_not_every_format_has(tmp_path: Path) -> None:
    """Programs write views, run lengths and empty objects; Arrow can neither filter nor store all of them."""
    views = pa.list_(pa.struct([("name", pa.string_view())]))
    columns = {
        "text": pa.array(["a", None, "b"], pa.string_view()),
        "view": pa.array([[{"name": "x"}], None, []], views),
        "dictionary": pa.DictionaryArray.from_arrays([0, 0, 1], pa.array(["x", "y"], pa.string_view())),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1, 2])),
        "object": pa.array([{}, None, {}], pa.struct([])),
    }
    with pa.ipc.new_file(tmp_path / "in.arrow", pa.table(columns).schema) as file:
        file.write_table(pa.table(columns))
    (tmp_path / "more.jsonl").write_text('{"text": "c", "object": {}}\n')
    embed_corpus([tmp_path / "in.arrow", tmp_path / "more.jsonl"], tmp_path / "out", HashEncoder())
    first, second, third = Store.open(tmp_path / "out").table().to_pylist()
    assert first == {"text": "a", "view": [{"name": "x"}], "dictionary": "x", "runs": 1, "object": "{}"}
    assert second == {"text": "b", "view": [], "dictionary": "y", "runs": 2, "object": "{}"}
    assert third == {"text": "c", "view": None, "dictionary": None, "runs": None, "object": "{}"}


@pytest.mark.parametrize("dtype", ["float32", "int8", "binary"])
@pytest.mark.parametrize("layout", ["parquet", "arrow", "npy", "lance"])
def test_every_layout_has_the_same_rows(
    tmp_path: Path, csv: Path, layout: str, dtype: str, small_chunks: int
) -> None:
    if layout == "lance":
        pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lastword[lance]'")
    out, plain = tmp_path / "out", tmp_path / "plain"
    embed_corpus(csv, out, HashEncoder(), layout=layout, vector_dtype=dtype)
    embed_corpus(csv, plain, HashEncoder(), vector_dtype=dtype)
    store, expected = Store.open(out), Store.open(plain)
    assert store.table().equals(expected.table())
    assert np.array_equal(store.matrix(), expected.matrix())
    assert [len(vectors) for vectors in store.vectors()] == [10, 10, 10, 5]
    rows = np.array([33, 2, 2, 17])
    assert store.take(rows).select(["text", "vector"]).equals(expected.take(rows).select(["text", "vector"]))
    write_rows(csv, [*range(5, 35), 99])
    encoder = HashEncoder()
    embed_corpus(csv, out, encoder, layout=layout, vector_dtype=dtype, update=True)
    assert encoder.encoded == ["text of row 99"]
    assert np.array_equal(Store.open(out).matrix()[:30], expected.matrix()[5:])


def test_files_of_the_layouts(tmp_path: Path, csv: Path) -> None:
    embed_corpus(csv, tmp_path / "npy", HashEncoder(), layout="npy")
    matrix = Store.open(tmp_path / "npy").matrix()
    assert isinstance(matrix, np.memmap)
    assert np.array_equal(np.load(tmp_path / "npy" / "vectors.npy"), matrix)
    assert pq.read_table(tmp_path / "npy" / "rows.parquet").column_names == ["text", "number"]
    embed_corpus(csv, tmp_path / "arrow", HashEncoder(), layout="arrow")
    assert feather.read_table(tmp_path / "arrow" / "shard-00000000.arrow").num_rows == 35


def test_a_lance_table_is_searched(tmp_path: Path, csv: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lastword[lance]'")
    embed_corpus(csv, tmp_path / "out", HashEncoder(), layout="lance")
    table = lancedb.connect(tmp_path / "out").open_table("rows")
    query = vectors_of(["text of row 7"])[0]
    assert table.search(query).limit(1).to_list()[0]["number"] == "7"


def test_an_interrupted_run_resumes(tmp_path: Path, csv: Path, refused: Refused, small_chunks: int) -> None:
    class Stops(HashEncoder):
        def encode(self, texts: Any, /) -> np.ndarray:
            if "text of row 25" in texts:
                raise KeyboardInterrupt
            return super().encode(texts)

    with pytest.raises(KeyboardInterrupt):
        embed_corpus(csv, tmp_path / "out", Stops())
    assert refused(ExistingOutputError, embed_corpus, csv, tmp_path / "out", HashEncoder()).endswith(
        "has an interrupted run: pass resume=True to continue it or overwrite=True to start over"
    )
    message = refused(RequestError, embed_corpus, csv, tmp_path / "out", HashEncoder("hash-2"), resume=True)
    assert message.startswith("resume=True: model was 'hash-1' and is now 'hash-2'")
    other = tmp_path / "other.csv"
    other.write_text("text,number\nanother text,1\n")
    assert refused(RequestError, embed_corpus, other, tmp_path / "out", HashEncoder(), resume=True) == (
        f"resume=True: the interrupted run of {tmp_path / 'out'} embeds {csv}: give its inputs, or pass "
        "overwrite=True to start over"
    )
    encoder = HashEncoder()
    embed_corpus(csv, tmp_path / "out", encoder, resume=True)
    assert encoder.encoded == [f"text of row {n}" for n in range(20, 35)]
    assert_complete(tmp_path / "out", [f"text of row {n}" for n in range(35)])
    assert not (tmp_path / "out.partial").exists()


def test_truncated_texts_are_counted_once_for_the_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pieces, "CHARACTERS", 4000)  # several pieces
    path = tmp_path / "in.csv"
    path.write_text("text\n" + "".join(f"text {n}{' word' * 200 * (n % 3 == 0)}\n" for n in range(60)))
    embed_corpus(path, tmp_path / "out", Embedder.from_pretrained("mini", max_tokens=64))
    assert [line for line in caplog.messages if "were truncated" in line] == [
        "20 of 60 texts were truncated to 64 tokens"
    ]


def test_a_run_resumes_with_corrected_files(tmp_path: Path, small_chunks: int) -> None:
    """What is wrong in row 1500 is mended; what was embedded until there is not embedded again."""
    path = tmp_path / "in.csv"
    lines = [f"text of row {n},{n}" for n in range(1600)]
    path.write_text("\n".join(["text,number", *lines[:1500], "one,cell,too many", *lines[1501:]]))
    for _ in range(2):
        with pytest.raises(TableError, match=r"line 1502 has 3 cells"):
            embed_corpus(path, tmp_path / "out", HashEncoder(), resume=True)
    path.write_text("\n".join(["text,number", "a new row,0", *lines]))
    encoder = HashEncoder()
    result = embed_corpus(path, tmp_path / "out", encoder, resume=True)
    assert encoder.encoded == ["a new row", *(f"text of row {n}" for n in range(1020, 1600))]
    assert (result.embedded, result.reused) == (581, 1020)
    assert_complete(tmp_path / "out", ["a new row", *(f"text of row {n}" for n in range(1600))])


def test_an_update_embeds_new_and_changed_texts_only(tmp_path: Path, csv: Path, small_chunks: int) -> None:
    embed_corpus(csv, tmp_path / "out", HashEncoder(), vector_dtype="int8", update=True)
    stored = Store.open(tmp_path / "out").matrix()
    numbers = [100, *range(5), 101, *range(6, 35), *range(35, 50)]
    write_rows(csv, numbers)
    encoder = HashEncoder()
    result = embed_corpus(csv, tmp_path / "out", encoder, vector_dtype="int8", update=True)
    assert encoder.encoded == [f"text of row {n}" for n in (100, 101, *range(35, 50))]
    assert (result.embedded, result.reused) == (17, 34)
    store = Store.open(tmp_path / "out")
    assert store.table(["number"])["number"].to_pylist() == [str(n) for n in numbers]
    assert np.array_equal(store.matrix()[1:6], stored[:5])
    assert np.array_equal(store.matrix()[7:36], stored[6:])
    np.testing.assert_allclose(
        store.matrix()[1:6], vectors_of([f"text of row {n}" for n in range(5)]), atol=6e-3
    )


def test_an_update_of_another_model_is_refused(tmp_path: Path, csv: Path, refused: Refused) -> None:
    out = tmp_path / "out"
    embed_corpus(csv, out, HashEncoder())
    settings = {"update": True, "truncate_dim": 8}
    assert refused(ModelError, embed_corpus, csv, out, HashEncoder("other"), update=True) == (
        f"{out} has vectors of hashing (hash-1), the same model with other settings (other); give the model and "
        "settings that it was made with"
    )
    assert refused(ModelError, embed_corpus, csv, out, HashEncoder(), **settings) == (
        f"{out} was made without truncate_dim, not with truncate_dim=8: pass the same for an update, or "
        "choose another path"
    )
    assert refused(ModelError, Store.open, out, HashEncoder("other")).startswith(
        f"{out} has vectors of hashing"
    )
    assert refused(RequestError, embed_corpus, csv, out, HashEncoder(), update=True, overwrite=True) == (
        "update=True keeps vectors that overwrite=True would discard: give one of them"
    )
    assert_complete(out, [f"text of row {n}" for n in range(35)])


def test_a_file_that_changes_meanwhile(
    tmp_path: Path, csv: Path, refused: Refused, small_chunks: int
) -> None:
    class Appends(HashEncoder):
        def encode(self, texts: Any, /) -> np.ndarray:
            with csv.open("a") as file:
                file.write("one more,1\n")
            return super().encode(texts)

    write_rows(csv, range(5000))
    message = refused(WorkError, embed_corpus, csv, tmp_path / "out", Appends())
    assert (
        message == f"{csv} was changed while it was read: start again with resume=True when nothing writes it"
    )
    embed_corpus(csv, tmp_path / "out", HashEncoder(), resume=True)
    added = len(csv.read_text().splitlines()) - 5001
    assert_complete(tmp_path / "out", [f"text of row {n}" for n in range(5000)] + ["one more"] * added)


def test_inputs_that_cannot_be_embedded(tmp_path: Path, csv: Path, refused: Refused) -> None:
    def message(kind: type[Exception], *inputs: Any, **settings: Any) -> str:
        return refused(kind, embed_corpus, inputs, tmp_path / "out", HashEncoder(), **settings)

    (tmp_path / "blank.txt").write_text("\n \n")
    assert message(TableError, tmp_path / "blank.txt") == (
        "no row of the input has a usable text in 'text': empty (2)"
    )
    assert message(MissingFileError, f"{tmp_path}/*.none") == (
        f"no file matches {tmp_path}/*.none: give a pattern of files that exist"
    )
    assert message(RequestError, csv, csv) == (
        f"{csv} is given twice: its rows would be embedded twice; give it once"
    )
    (tmp_path / "link.csv").symlink_to(csv)
    assert refused(
        RequestError, embed_corpus, [csv, tmp_path / "link.csv"], tmp_path / "out", HashEncoder()
    ) == (
        f"{tmp_path / 'link.csv'} is given twice, also as {csv}: its rows would be embedded twice; give it once"
    )
    assert message(RequestError) == "no input: give at least one file"
    assert message(TableError, csv, vector_column="number") == (
        f"{csv} has a column 'number': name that of the vectors otherwise, vector_column=…"
    )
    assert message(RequestError, csv, vector_dtype="int4").startswith("unknown vector_dtype 'int4'")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.txt", "link.csv", "texts.csv"]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from lastword import embed_corpus;"
        "from tests.corpus.hashing import HashEncoder; embed_corpus('-', sys.argv[1], HashEncoder())"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out"), str(ROOT)], input=b"one\ntwo\n", check=True
    )
    assert_complete(tmp_path / "out", ["one", "two"])


SMALL = {
    "lastword.corpus.texts.CHUNK_ROWS": 40,
    "lastword.corpus.pieces.CHARACTERS": 1200,
    "lastword.corpus.pieces.WORTH_S": 0,
}


def test_ten_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path) -> None:
    rng, rows = random.Random(5), 3000
    cells = [f"text {n}" if n % 37 else "" for n in range(rows)]
    path = tmp_path / "in.csv"
    path.write_text("text,n\n" + "".join(f"{cell},{n}\n" for n, cell in enumerate(cells)))
    how: dict[str, Any] = {"update": True, "vector_dtype": "int8", "prepare": [partial(set_all, SMALL)]}
    for _ in range(10):
        moment = after_calls(rng.randrange(12_000), "tests.corpus.hashing.HashEncoder.encode")
        run_killed(moment, embed_corpus, path, tmp_path / "out", HashEncoder(), **how, resume=True)
    assert len(list((tmp_path / "out.partial").glob("part-*.parquet"))) > 5
    run(embed_corpus, path, tmp_path / "out", HashEncoder(), **how, resume=True)
    run(embed_corpus, path, tmp_path / "whole", HashEncoder(), **how)
    killed, whole = Store.open(tmp_path / "out"), Store.open(tmp_path / "whole")
    assert killed.table().equals(whole.table())
    assert killed.table(["n"])["n"].to_pylist() == [str(n) for n in range(rows) if n % 37]
    assert np.array_equal(killed.matrix(), whole.matrix())
    assert (tmp_path / "out" / "_rejected.jsonl").read_bytes() == (
        tmp_path / "whole" / "_rejected.jsonl"
    ).read_bytes()
    assert killed.manifest == whole.manifest


@pytest.mark.parametrize("layout", ["parquet", "arrow", "npy", "lance"])
@pytest.mark.parametrize("update", [False, True])
def test_a_run_resumes_inside_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, update: bool
) -> None:
    """The pieces of the shard that are done are not embedded again, and each vector is the same to the last bit."""
    if layout == "lance":
        pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lastword[lance]'")
    monkeypatch.setattr(pieces, "CHARACTERS", 3000)
    monkeypatch.setattr(pieces, "WORTH_S", 0)
    calls: list[int] = []

    class Rounding(HashEncoder):
        """Its vectors depend on the texts beside them, as the rounding of a real model does."""

        def encode(self, texts: Any, /) -> np.ndarray:
            calls.append(len(texts))
            if len(calls) in (3, 7):  # while the range of int8 is decided, and later
                raise KeyboardInterrupt
            return super().encode(texts) + np.float32(1e-3 * len(texts) + 1e-5 * len(texts[0]))

    cells = [f"text {n} " + "long " * (n % 13) if n % 11 else "" for n in range(300)]
    cells[50] = "tokenless"
    path = tmp_path / "in.csv"
    path.write_text("text,n\n" + "".join(f"{cell},{n}\n" for n, cell in enumerate(cells)))
    how: dict[str, Any] = {"layout": layout, "vector_dtype": "int8", "update": update}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            embed_corpus(path, tmp_path / "out", Rounding(), resume=True, **how)
    embed_corpus(path, tmp_path / "out", Rounding(), resume=True, **how)
    assert len(calls) > 10
    monkeypatch.setattr(pieces, "WORTH_S", 1e9)
    embed_corpus(path, tmp_path / "whole", Rounding(), **how)
    killed, whole = Store.open(tmp_path / "out"), Store.open(tmp_path / "whole")
    assert killed.table().equals(whole.table())
    assert killed.matrix().tobytes() == whole.matrix().tobytes()
    assert killed.manifest == whole.manifest
    encoder = HashEncoder()
    embed_corpus(path, tmp_path / "once", encoder, **how)
    assert sorted(encoder.encoded) == sorted({*cells} - {"", "tokenless"})


def test_what_a_killed_run_loses_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece has few characters, or few texts; no text is in two pieces, and windows of a text stay together."""
    monkeypatch.setattr(pieces, "CHARACTERS", 10_000)
    short = [f"{n} " + "x" * (n % 40) for n in range(500)]
    long = [f"{n} " + "x" * 5000 for n in range(50)]
    windows = [Window(text, start, start + 500, 0, 1) for text in long for start in range(0, 5000, 500)]
    for texts, most in ((short, 10_000), (long, 16 * 5100), (windows, 16 * 564 + 10 * 564), (short[:3], 300)):
        parts = list(pieces.pieces(texts))
        assert sorted(row for part in parts for row in part) == list(range(len(texts)))
        sizes = [sum(64 + len(getattr(texts[row], "part", texts[row])) for row in part) for part in parts]
        assert max(sizes) <= most
    of_text = [{windows[row].text for row in part} for part in pieces.pieces(windows)]
    assert sum(map(len, of_text)) == len(long)


def test_progress_of_a_shard_counts_all_its_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished piece is not the whole of the shard."""
    monkeypatch.setattr(pieces, "CHARACTERS", 2000)
    monkeypatch.setattr(console, "_BAR_AFTER_S", -1)
    monkeypatch.setattr(console, "_progress_shown", True)
    shares = []

    class Watched(HashEncoder):
        def encode(self, texts: Any, /) -> np.ndarray:
            assert console._running
            shares.append(console._running.completed / console._running.total)
            return super().encode(texts)

    path = tmp_path / "in.txt"
    path.write_text("".join(f"text {n:03}\n" for n in range(8 * 27)))
    embed_corpus(path, tmp_path / "out", Watched())
    assert shares == pytest.approx([piece / 8 for piece in range(8)])


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """Ten times the rows take about the same memory, in processes of their own."""
    peaks = []
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]);"
        "from lastword import embed_corpus; from tests.corpus.hashing import HashEncoder;"
        "result = embed_corpus(sys.argv[1], sys.argv[2], HashEncoder(), vector_dtype='int8');"
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print(result.rows, peak)"
    )
    for count in (20_000, 200_000):
        path = write_rows(tmp_path / f"{count}.csv", range(count))
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(tmp_path / f"out{count}"), str(ROOT)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        rows, peak = done.stdout.split()
        assert int(rows) == count
        peaks.append(int(peak) / 1024)
    assert peaks[1] < peaks[0] + 60, peaks


def test_a_full_disk_keeps_what_is_done(tmp_path: Path, small_chunks: int) -> None:
    """A limit of the size of a file in place of a full disk: the third shard is larger."""
    path = tmp_path / "in.txt"
    texts = [
        f"text {n}" if n < 20 else f"text {n} " + random.Random(n).randbytes(20_000).hex() for n in range(30)
    ]
    path.write_text("\n".join(texts))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="errno 27") as full:
            embed_corpus(path, tmp_path / "out", HashEncoder())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.value.errno == 27, "which the command line explains"
    encoder = HashEncoder()
    embed_corpus(path, tmp_path / "out", encoder, resume=True)
    assert encoder.encoded == texts[20:]
    assert_complete(tmp_path / "out", texts)


def test_an_output_that_cannot_be_written(tmp_path: Path, csv: Path, refused: Refused) -> None:
    encoder = HashEncoder()
    assert refused(RequestError, embed_corpus, csv, "/proc/out", encoder).startswith(
        "cannot write /proc/out: "
    )
    assert refused(RequestError, embed_corpus, csv, csv / "out", encoder).startswith(
        f"cannot write {csv / 'out'}: "
    )
    (tmp_path / "folder").mkdir()
    assert refused(ExistingOutputError, embed_corpus, csv, tmp_path / "folder", encoder).startswith(
        f"{tmp_path / 'folder'} exists: choose another path"
    )
    assert refused(ExistingOutputError, embed_corpus, csv, tmp_path / "folder", encoder, update=True) == (
        f"{tmp_path / 'folder'} exists and is no store: choose another path for update=True"
    )
    assert refused(MissingFileError, Store.open, tmp_path / "folder") == (
        f"{tmp_path / 'folder'} has no manifest: give a folder that `lastword embed` wrote"
    )
    assert not encoder.encoded


def test_long_texts_make_short_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_module, "CHUNK_BYTES", 1 << 20)
    texts = [f"{n} " + "long " * 30_000 for n in range(20)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet", row_group_size=2)
    embed_corpus(tmp_path / "in.parquet", tmp_path / "out", HashEncoder())
    assert_complete(tmp_path / "out", texts)
    assert max(shard["rows"] for shard in Store.open(tmp_path / "out").manifest["shards"]) <= 14


def test_the_command(tmp_path: Path, llama_folder: Path) -> None:
    from click.testing import CliRunner

    from lastword.cli import main

    (tmp_path / "in.csv").write_text("message,n\nthe river was low,1\n,2\na cat,3\n")
    arguments = [
        "embed", str(tmp_path / "in.csv"), "--text-column", "message", "--model", str(llama_folder), "--vector-dtype",
        "float16", "--truncate-dim", "8", "--format", "npy", "--output", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) | {"seconds": 0} == {
        "output": str(tmp_path / "out"), "rows": 2, "rejected": {"empty": 1}, "embedded": 2, "reused": 0, "dim": 8,
        "vector_dtype": "float16", "seconds": 0,
    }  # fmt: skip
    assert f"rows without a vector (empty): 1; see {tmp_path / 'out' / '_rejected.jsonl'}" in done.stderr
    assert np.load(tmp_path / "out" / "vectors.npy").shape == (2, 8)
    again = CliRunner().invoke(main, [*arguments, "--update"])
    assert json.loads(again.stdout)["reused"] == 2
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_tokens": "9"}, "batch_tokens='9': give a whole number, 1 or more"),
        ({"batch_tokens": 0}, "batch_tokens=0: give a whole number, 1 or more"),
        ({"vector_column": ""}, "vector_column='': give the name of a column"),
        ({"vector_column": 3}, "vector_column=3: give the name of a column"),
        ({"text_column": ["text"]}, "text_column=['text']: give the name of a column"),
        ({"inputs": None}, "inputs is NoneType: give a list"),
        ({"inputs": {"a.csv": 1}}, "inputs is dict: give a list"),
        ({"inputs": (name for name in ["a.csv"])}, "inputs is an iterator (generator): give list(inputs)"),
    ],
)
def test_arguments_of_another_kind(
    tmp_path: Path, refused: Refused, wrong: dict[str, Any], message: str
) -> None:
    path = write_rows(tmp_path / "in.csv", range(3))
    inputs = wrong.pop("inputs", path)
    assert refused(RequestError, embed_corpus, inputs, tmp_path / "out", HashEncoder(), **wrong) == message
    assert not list(tmp_path.glob("out*"))
