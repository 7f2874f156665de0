"""Files of every kind give the same columns; a file that does not serve gives one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.errors import MissingFileError, TableError
from lastword.files.tables import columns_of, read_table, read_texts

Refused = Callable[..., str]
ROWS = {"text": ["a, b", 'say "hi"', "Größe 🚀\nline two"], "label": ["007", "x", "null"]}
AS_CSV = 'text,label\n"a, b",007\n"say ""hi""",x\n"Größe 🚀\nline two",null\n'
AS_JSON = (
    '{"text": "a, b", "label": "007"}\n'
    '{"text": "say \\"hi\\"", "label": "x"}\n'
    '{"text": "Größe 🚀\\nline two", "label": "null"}\n'
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes | dict[str, Any]], Path]:
    def write(name: str, content: str | bytes | dict[str, Any]) -> Path:
        path = tmp_path / name
        if isinstance(content, dict):
            pq.write_table(pa.table(content), path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", ROWS),
        ("a.csv", AS_CSV),
        ("a.CSV", AS_CSV),
        ("bom.csv", "\ufeff" + AS_CSV),
        ("a.tsv", AS_CSV.replace('"a, b",', "a, b\t").replace('",', '"\t').replace("text,", "text\t")),
        ("a.jsonl", AS_JSON),
        ("a.json", AS_JSON),
    ],
)
def test_every_format_gives_the_same_columns(write: Any, name: str, content: Any) -> None:
    assert read_texts(write(name, content), ["text", "label"]) == ROWS


def test_plain_text_has_one_text_a_line(write: Any) -> None:
    path = write("a.txt", "\ufeffone\r\ntwo, and\x0cmore\u2028of it\nthree\n")
    assert read_texts(path, ["text"]) == {"text": ["one", "two, and\x0cmore\u2028of it", "three"]}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_one_text_of_three_megabytes(write: Any, ending: str) -> None:
    text = "word " * 600_000 + "end"
    content = f'text,label\n"{text}",x\n' if ending == "csv" else f'{{"text": "{text}"}}\n'
    assert read_texts(write(f"a.{ending}", content), ["text"]) == {"text": [text]}


def test_integers_are_taken_as_decimal_text(write: Any) -> None:
    path = write("a.parquet", {"text": ["a", "b"], "label": pa.array([7, -12], pa.int16())})
    assert read_texts(path, ["text", "label"])["label"] == ["7", "-12"]


def test_dictionary_columns_are_taken_as_text(write: Any) -> None:
    labels = pa.array(["x", "y"]).dictionary_encode()
    path = write("a.parquet", {"text": ["a", "b"], "label": labels})
    assert read_texts(path, ["text", "label"])["label"] == ["x", "y"]


def test_optional_columns_are_taken_where_they_are(write: Any) -> None:
    path = write("a.parquet", {"text": ["a", "b"], "label": ["x", None]})
    assert read_texts(path, ["text"], optional=["label", "split"]) == {
        "text": ["a", "b"],
        "label": ["x", ""],
    }


def test_one_column_may_be_asked_for_twice(write: Any) -> None:
    assert read_texts(write("a.csv", "text\na\n"), ["text", "text"], optional=["text"]) == {"text": ["a"]}


def test_where_keeps_the_rows_of_one_value(write: Any) -> None:
    path = write("a.parquet", {"text": ["a", None, "c"], "split": ["test", "train", "test"], "n": [1, 1, 2]})
    assert read_texts(path, ["text"], where={"split": "test"}) == {"text": ["a", "c"]}
    assert read_texts(path, ["text"], where={"split": "test", "n": "2"}) == {"text": ["c"]}


def test_where_without_a_row(write: Any, refused: Refused) -> None:
    path = write("a.csv", "text,split\na,train\nb,dev\n")
    assert refused(TableError, read_texts, path, ["text"], where={"split": "test"}) == (
        f"{path} has no row with split = 'test'; the values there are: dev, train"
    )
    assert refused(TableError, read_texts, path, ["text"], where={"fold": "1"}) == (
        f"{path} has no column 'fold'; its columns are: text, split"
    )


BAD = {"text": ["a", None, " \n", "b", ""], "label": [1.5, 2.0, None, 1.0, 1.0]}


def test_unusable_cells_are_counted_and_shown(write: Any, refused: Refused) -> None:
    path = write("a.parquet", BAD)
    assert refused(TableError, read_texts, path, ["text"]) == (
        f"{path}: 3 of 5 rows hold no text (empty in 'text'; null in 'text'; rows 1, 2, 4, counted from 0); "
        "mend them or go on without them: --drop-empty"
    )
    assert refused(TableError, read_texts, path, ["text", "label"]) == (
        f"{path}: 5 of 5 rows hold no text (empty in 'text'; float in 'label'; null in 'text'; "
        "rows 0, 1, 2, 3, 4, counted from 0); mend them or go on without them: --drop-empty"
    )


def test_only_five_rows_are_shown(write: Any, refused: Refused) -> None:
    path = write("a.csv", "text,n\n" + ",1\n" * 7)
    assert refused(TableError, read_texts, path, ["text"]) == (
        f"{path}: 7 of 7 rows hold no text (empty in 'text'; rows 0, 1, 2, 3, 4, …, counted from 0); "
        "mend them or go on without them: --drop-empty"
    )


def test_drop_empty_drops_whole_rows(write: Any, refused: Refused) -> None:
    path = write("a.parquet", {**BAD, "row": ["0", "1", "2", "3", "4"]})
    assert read_texts(path, ["text", "row"], drop_empty=True) == {"text": ["a", "b"], "row": ["0", "3"]}
    assert refused(TableError, read_texts, path, ["text", "label"], drop_empty=True) == (
        f"{path}: no row is left with a text in text, label"
    )


def test_missing_file(tmp_path: Path, refused: Refused) -> None:
    endings = ".parquet, .csv, .tsv, .jsonl, .json, .txt"
    path = tmp_path / "none.csv"
    assert refused(MissingFileError, read_table, path) == f"no file {path}: give a {endings} file that exists"
    assert refused(MissingFileError, read_table, str(tmp_path)) == (
        f"no file {tmp_path}: give a {endings} file that exists"
    )


def test_unknown_endings(write: Any, refused: Refused) -> None:
    path = write("a.xlsx", "x")
    assert refused(TableError, read_table, path) == (
        f"{path}: cannot read .xlsx; use .parquet, .csv, .tsv, .jsonl, .json, .txt"
    )
    path = write("a", "x")
    assert refused(TableError, read_table, path) == (
        f"{path}: cannot read a file without an ending; use .parquet, .csv, .tsv, .jsonl, .json, .txt"
    )


def test_files_without_rows(write: Any, refused: Refused) -> None:
    path = write("a.csv", "")
    assert refused(TableError, read_table, path) == f"{path} is empty: it needs at least one row"
    for path in (write("b.csv", "text,label\n"), write("b.parquet", {"text": pa.array([], pa.string())})):
        assert (
            refused(TableError, read_table, path)
            == f"{path} has columns but no rows: it needs at least one row"
        )


def _damaged_parquet(at: slice, by: int = 0) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"{row} words" for row in range(1000)]}), sink)
    content = bytearray(sink.getvalue().to_pybytes())
    content[at] = bytes([by]) * len(content[at])
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("not.parquet", b"hello, I am no Parquet file"),
        ("header.parquet", _damaged_parquet(slice(4, 200))),
        ("footer.parquet", _damaged_parquet(slice(-40, -8), 0x55)),
        ("latin1.csv", "text,label\ncafé,x\n".encode("latin-1")),
        ("ragged.csv", b"text,label\na,1\nb\n"),
        ("latin1.txt", "café".encode("latin-1")),
        ("latin1.jsonl", '{"text": "café"}\n'.encode("latin-1")),
        ("list.json", b'[{"text": "a"}]'),
        ("mixed.jsonl", b'{"text": "a"}\n{"text": 1}\n'),
        ("half.jsonl", b'{"text": "a"\n'),
    ],
)
def test_unreadable_content(write: Any, refused: Refused, name: str, content: bytes) -> None:
    path = write(name, content)
    message = refused(TableError, read_texts, path, ["text"])
    assert message.startswith(f"{path} is not a readable {path.suffix} file: ")
    assert "\n" not in message


def test_missing_column(write: Any, refused: Refused) -> None:
    path = write("a.csv", "titel,label\na,1\n")
    assert refused(TableError, read_texts, path, ["title"]) == (
        f"{path} has no column 'title'; its columns are: titel, label"
    )


def test_two_columns_of_one_name(write: Any, refused: Refused) -> None:
    path = write("a.csv", "text,text,label\na,b,1\n")
    assert refused(TableError, read_texts, path, ["text"]) == (
        f"{path} has several columns 'text': rename all but one"
    )
    assert read_texts(path, ["label"]) == {"label": ["1"]}


def test_columns_of_keeps_the_order_asked_for() -> None:
    table = pa.table({"a": ["1"], "b": ["2"], "c": ["3"]})
    assert columns_of(table, "file", ["c", "a"]).column_names == ["c", "a"]


def test_real_file(data_folder: Path) -> None:
    data = read_texts(data_folder / "clustering" / "sib200_eng.parquet", ["text", "label"])
    assert len(data["text"]) == 1004
    assert len(set(data["label"])) == 7
