"""Long texts in a store: one vector each, or a row for each window with its place in the text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lastword import Store, embed_corpus, search
from lastword.cli import main
from lastword.corpus import texts as texts_module
from lastword.embedding import Embedder
from lastword.encoders.long_texts import LongTextEncoder
from lastword.errors import ModelError, RequestError, TableError
from tests.corpus.hashing import HashEncoder

Load = Callable[..., Embedder]
Refused = Callable[..., str]
LONG = ["a man is driving a car. " * 30, "the river was low, and so it ends. " * 12 + "A cat. " * 20]
TEXTS = [LONG[0], "a cat", "", LONG[1], "a cat"]
SETTINGS = {"dtype": "float32", "device": "cpu", "pooling": "mean"}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "documents.parquet"
    pq.write_table(pa.table({"id": pa.array(range(5), pa.int16()), "text": TEXTS}), path)
    return path


@pytest.mark.parametrize("kind", ["windows:20:4", "late:20:4"])
def test_a_vector_for_each_text(
    tmp_path: Path, documents: Path, llama_folder: Path, load: Load, kind: str
) -> None:
    result = embed_corpus(documents, tmp_path / "out", llama_folder, long_texts=kind, **SETTINGS)
    assert (result.rows, result.embedded, result.rejected) == (4, 3, {"empty": 1})
    store, encoder = Store.open(tmp_path / "out"), LongTextEncoder(load(pooling="mean"), kind)
    assert store.identity == encoder.identity
    np.testing.assert_allclose(store.matrix(), encoder.encode([text for text in TEXTS if text]), atol=1e-5)
    best = search(tmp_path / "out", LONG[1], device="cpu").queries[0].matches[0]
    assert (best.row["id"], round(best.score, 4)) == (3, 1.0)


@pytest.mark.parametrize("kind", ["windows:20:4", "late:20:4"])
def test_a_row_for_each_window(
    tmp_path: Path,
    documents: Path,
    llama_folder: Path,
    load: Load,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(texts_module, "CHUNK_ROWS", 2)
    embed_corpus(documents, tmp_path / "out", llama_folder, long_texts=kind, per_window=True, **SETTINGS)
    store, encoder = Store.open(tmp_path / "out"), LongTextEncoder(load(pooling="mean"), kind)
    rows, windows = store.table().to_pylist(), encoder.cut([text for text in TEXTS if text])
    assert [row["text_row"] for row in rows] == [
        number for number, own in zip((0, 1, 3, 4), windows, strict=True) for _ in own
    ]
    assert [row["id"] for row in rows] == [row["text_row"] for row in rows]
    assert all(row["text"] == TEXTS[row["text_row"]][row["text_start"] : row["text_end"]] for row in rows)
    expected = np.concatenate([encoder.encode_window(own) for own in windows])
    np.testing.assert_allclose(store.matrix(), expected, atol=1e-5)
    assert store.vector_format.dim == 32
    assert "text_file" not in store.columns
    found = search(tmp_path / "out", "a cat", top=1, device="cpu").queries[0].matches[0].row
    assert found["text"] == "a cat"


def test_windows_of_several_files_name_their_file(tmp_path: Path, llama_folder: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file, text in zip(files, LONG, strict=True):
        file.write_text(f"a cat\n{text}\n")
    embed_corpus(files, tmp_path / "out", llama_folder, long_texts="windows:40", per_window=True, **SETTINGS)
    table = Store.open(tmp_path / "out").table()
    assert set(zip(table["text_file"].to_pylist(), table["text_row"].to_pylist(), strict=True)) == {
        (str(file), row) for file in files for row in (0, 1)
    }


def test_an_update_embeds_new_windows_only(tmp_path: Path, llama_folder: Path, refused: Refused) -> None:
    file, settings = tmp_path / "a.txt", {"per_window": True, **SETTINGS}
    file.write_text(f"{LONG[0]}\n")
    first = embed_corpus(file, tmp_path / "out", llama_folder, long_texts="windows:20:4", **settings)
    file.write_text(f"{LONG[0]}\na cat\n")
    again = embed_corpus(
        file, tmp_path / "out", llama_folder, long_texts="windows:20:4", update=True, **settings
    )
    assert (again.embedded, again.reused, again.rows) == (1, first.rows, first.rows + 1)
    message = refused(
        ModelError,
        embed_corpus,
        file,
        tmp_path / "out",
        llama_folder,
        long_texts="windows:24:4",
        update=True,
        **settings,
    )
    assert (
        "was made with long_texts='windows:20:4' and per_window=True, not with long_texts='windows:24:4' and "
        "per_window=True"
    ) in message
    message = refused(ModelError, embed_corpus, file, tmp_path / "out", llama_folder, update=True, **SETTINGS)
    assert "made with long_texts='windows:20:4' and per_window=True, not without per_window:" in message


def test_a_store_from_before_is_updated(tmp_path: Path, documents: Path, llama_folder: Path) -> None:
    """Manifests without the key `windows`."""
    embed_corpus(documents, tmp_path / "out", llama_folder, **SETTINGS)
    manifest = tmp_path / "out" / "_manifest.json"
    assert '"windows": null' in manifest.read_text()
    manifest.write_text(manifest.read_text().replace('"windows": null,', ""))
    assert embed_corpus(documents, tmp_path / "out", llama_folder, update=True, **SETTINGS).embedded == 0


def test_an_interrupted_run_resumes(
    tmp_path: Path, documents: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts_module, "CHUNK_ROWS", 2)
    encoder, cut = load(pooling="mean"), {"long_texts": "late:20:4", "per_window": True}
    calls, encode = [], LongTextEncoder.encode_window

    def failing(self: LongTextEncoder, windows: list[object]) -> np.ndarray:
        calls.append(len(windows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, windows)  # type: ignore[arg-type]

    monkeypatch.setattr(LongTextEncoder, "encode_window", failing)
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(documents, tmp_path / "out", encoder, **cut)
    embed_corpus(documents, tmp_path / "out", encoder, resume=True, **cut)
    assert len(calls) == 4  # the first chunk once, which is also what decides how vectors are stored
    embed_corpus(documents, tmp_path / "whole", encoder, **cut)
    np.testing.assert_array_equal(
        Store.open(tmp_path / "out").matrix(), Store.open(tmp_path / "whole").matrix()
    )


def test_what_is_refused(tmp_path: Path, documents: Path, load: Load, refused: Refused) -> None:
    out, windows = tmp_path / "out", {"long_texts": "windows:20", "per_window": True}
    assert refused(RequestError, embed_corpus, documents, out, "mini", per_window=True) == (
        "per_window=True needs windows: give long_texts='windows' or 'late' too"
    )
    message = refused(RequestError, embed_corpus, documents, out, "sentence-transformers:x", **windows)
    assert (
        message
        == "long_texts='windows' needs a decoder, whose tokens are counted, not sentence-transformers:x"
    )
    message = refused(RequestError, embed_corpus, documents, out, HashEncoder("hash-1"), **windows)
    assert "per_window=True needs a decoder" in message
    message = refused(RequestError, embed_corpus, documents, out, HashEncoder("hash-1"), long_texts="late")
    assert "takes no long_texts" in message
    message = refused(
        RequestError, embed_corpus, documents, out, "mini", long_texts="late", per_window=True, update=True
    )
    assert "use long_texts='windows', or embed all texts again" in message
    table = pq.read_table(documents)
    pq.write_table(table.append_column("text_start", table["id"]), documents)
    message = refused(TableError, embed_corpus, documents, out, load(), **windows)
    assert message == "the input has a column 'text_start': rename it"


def test_the_command(tmp_path: Path, documents: Path, llama_folder: Path) -> None:
    command = [
        "embed", str(documents), "--model", str(llama_folder), "--long-texts", "windows:20:4", "--per-window",
        "--output", str(tmp_path / "out"), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(Store.open(tmp_path / "out")) > 10
