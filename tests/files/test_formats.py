"""Files as other programs write them: encodings, delimiters, quotation marks, compression, Excel, standard input."""

from __future__ import annotations

import atexit
import csv
import datetime
import gzip
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from lastword.console import info_once
from lastword.errors import MissingExtraError, MissingFileError, NoRowsError, RequestError, TableError
from lastword.files import sources
from lastword.files.encodings import detect_encoding
from lastword.files.sources import TableFile
from lastword.files.tables import read_chunks, read_texts, require_columns

Refused = Callable[..., str]
GERMAN = "text,label\nGröße über alles,Maß\nschöne Grüße,Fuß\n"
CURLY = "text,label\n“Fine” – it’s ok,a\nil a été reçu à Noël,b\n"
CYRILLIC = "text,label\nПривет мир, как дела,погода\nсегодня хорошая погода,погода\n".replace("мир, ", "мир ")
JAPANESE = "text,label\n日本語のテキストを読みます,挨拶\nこんにちは世界お元気ですか,挨拶\n"


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", logger="lastword")
    info_once.cache_clear()
    return caplog


def rows_of(text: str) -> dict[str, list[str]]:
    header, *rows = list(csv.reader(io.StringIO(text)))
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def read(path: Path | TableFile, *columns: str) -> dict[str, list[str]]:
    return read_texts(path, list(columns or ("text", "label")))


@pytest.mark.parametrize(
    ("content", "encoding", "detected"),
    [
        (GERMAN, "utf-8", ""),
        (GERMAN, "utf-8-sig", ""),
        (GERMAN, "latin-1", "encoding cp1252"),
        (CURLY, "cp1252", "encoding cp1252"),
        (GERMAN, "utf-16", "encoding utf-16"),
        (GERMAN, "utf-16-le", "encoding utf-16-le"),
        (GERMAN, "utf-16-be", "encoding utf-16-be"),
        (GERMAN, "utf-32", "encoding utf-32"),
        (CYRILLIC, "cp1251", "encoding cp1251"),
        (CYRILLIC, "koi8-r", "encoding koi8_r"),
        (JAPANESE, "shift_jis", "encoding shift_jis"),
        (JAPANESE, "euc_jp", "encoding euc_jp"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".txt"])
def test_encodings_are_detected(
    tmp_path: Path, said: Any, content: str, encoding: str, detected: str, suffix: str
) -> None:
    rows = rows_of(content)
    path = tmp_path / f"a{suffix}"
    if suffix == ".txt":
        content, rows = "\n".join(rows["text"]), {"text": rows["text"]}
    elif suffix != ".csv":
        records = [dict(zip(rows, cells, strict=True)) for cells in zip(*rows.values(), strict=True)]
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in records)
    path.write_bytes(content.encode(encoding))
    assert read(path, *rows) == read(path, *rows) == rows
    message = f"{path}: {detected} (detected; encoding=… and delimiter=… override it)"
    assert said.messages == ([message] if detected else [])
    assert read(TableFile(path, encoding), *rows) == rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_delimiters_are_detected(
    tmp_path: Path, said: Any, delimiter: str, suffix: str, quoting: Any
) -> None:
    rows = {
        "text": ["one, two; three | four", "a\nb", 'say "hi"'],
        "price": ["1,5", "2,25", ""],
        "label": ["a", "b", "c"],
    }
    path = tmp_path / f"a{suffix}"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(
            [rows.keys(), *zip(*rows.values(), strict=True)]
        )
    assert read(path) == {name: rows[name] for name in ("text", "label")}
    default = {".csv": ",", ".tsv": "\t"}[suffix]
    shown = "a tab" if delimiter == "\t" else repr(delimiter)
    assert [f"delimiter {shown} (detected" in message for message in said.messages] == [True] * (
        delimiter != default
    )
    assert read(TableFile(path, delimiter=delimiter)) == {name: rows[name] for name in ("text", "label")}


def test_the_delimiter_that_gives_the_columns_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text;price, net\na;1,5\nb;2,5\n")
    assert read(path, "text") == {"text": ["a", "b"]}
    path.write_text("text\na; b\nc, d\n".replace(", ", " "))
    assert read(path, "text") == {"text": ["a; b", "c d"]}


@pytest.mark.parametrize(
    "lines",
    [
        ['"Hello, he said', "two", "three", "four", 'she said bye"', "six"],
        ['"quoted" start', "two", '5" disk', "four"],
        ['"never closed', "two"],
        ["one", 'in "the" middle', '"begins', "four", 'ends"'],
        ['"', "two", '"'],
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_quotation_marks_swallow_no_rows(
    tmp_path: Path, said: Any, lines: list[str], late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are not in the part that detection sees."""
    if late:
        monkeypatch.setattr(sources, "SAMPLE_BYTES", 300)
    texts = [f"text {row}" for row in range(100 * late)] + lines
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{row}\n" for row, text in enumerate(texts)))
    assert read(path) == {"text": texts, "label": [str(row) for row in range(len(texts))]}
    (message,) = said.messages
    assert "quotation marks are read as they are" in message


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_rows_that_a_comma_may_have_swallowed_are_named(tmp_path: Path, said: Any, delimiter: str) -> None:
    """Commas and line breaks are frequent in quoted texts, so both readings are likely."""
    path = tmp_path / "a.csv"
    path.write_text(
        'text,label\none,1\n"Hello,2\nthree,3\nbye",4\n"a, b\nc",5\n"d,2\ne",3\n'.replace(",", delimiter)
    )
    texts = ["one", "Hello,2\nthree,3\nbye", "a, b\nc", "d,2\ne"]
    assert read(path)["text"] == [text.replace(",", delimiter) for text in texts]
    assert [message for message in said.messages if "detected" not in message] == [
        f"{path}: lines 3 to 5 are one row, since a quotation mark at the beginning of a cell is closed there; if they "
        "are rows, double that mark"
    ]


def test_a_quotation_mark_that_fits_no_reading_is_refused_with_its_line(
    tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"a\tb"\t1\n"c\t2\nd\t3\n')
    assert refused(TableError, read, path).startswith(
        f"{path} is not a readable .tsv file: line 3: a quotation mark is never closed; put quotation marks"
    )


def test_quoted_cells_of_a_tsv_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"line one\nline two"\tx\n"a\tb"\t"y ""z"""\n')
    assert read(path) == {"text": ["line one\nline two", "a\tb"], "label": ["x", 'y "z"']}


def test_a_quoted_cell_across_the_end_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SAMPLE_BYTES", 40)
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"a, b",x\n"line one, and\nline two\nline three",y\n')
    assert read(path) == {"text": ["a, b", "line one, and\nline two\nline three"], "label": ["x", "y"]}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".txt"])
@pytest.mark.parametrize("compression", ["", ".gz"])
def test_a_byte_far_from_the_beginning_is_named_with_its_line(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, suffix: str, compression: str
) -> None:
    monkeypatch.setattr(sources, "SAMPLE_BYTES", 4096)
    first = "text\n" if suffix == ".csv" else ""
    texts = [f"ein Text mit Nummer {row}" for row in range(3000)] + ["schöne Grüße"]
    lines = [json.dumps({"text": text}, ensure_ascii=False) if suffix == ".jsonl" else text for text in texts]
    content = (first + "\n".join(lines)).encode("latin-1")
    path = tmp_path / f"a{suffix}{compression}"
    path.write_bytes(gzip.compress(content) if compression else content)
    assert refused(TableError, read, path, "text") == (
        f"{path}, line {3001 + (suffix == '.csv')}: byte 0xf6 is not utf-8; pass encoding='cp1252' if the whole "
        "file is in it, or save the file as UTF-8"
    )
    assert read(TableFile(path, "latin-1"), "text") == {"text": texts}


@pytest.mark.parametrize(
    ("name", "content", "text", "line"),
    [
        ("a.txt", b"a text with a\x00zero byte, and some more words of it\n", None, 1),
        ("a.txt", b"a\x00b\n", None, 1),
        ("a.csv", b"text,n\na\x00,1\n", "a\x00", 2),
        ("a.csv", b"text,n\nabc,1\nb\x00d,2\nef,3\n", "abc b\x00d ef", 3),
        ("a.csv", b"text,n\nx\x00yz,1\nx\x00y,1\nx\x00yz,1\n", "x\x00yz x\x00y x\x00yz", 2),
        ("a.csv", "text,n\nß\x00,1\n".encode("cp1252"), "ß\x00", 2),
    ],
)
def test_stray_zero_bytes_are_not_utf_16(
    tmp_path: Path, said: Any, name: str, content: bytes, text: str | None, line: int
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert read(path, "text") == {"text": text.split() if text else [content.decode().strip()]}
    assert [message for message in said.messages if "zero byte" in message] == [
        f"{path}, line {line}: a zero byte, which no text should have: is the file damaged, or in another encoding? "
        "encoding=… says which"
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text", ["a\n", "text\nab\n", "Größe\n", "東京は大きい\n京都は古い町です\n上上上\n東\n"]
)
def test_short_texts_in_utf_16_without_a_mark(encoding: str, text: str) -> None:
    assert detect_encoding(text.encode(encoding), True) == encoding


def test_a_few_damaged_bytes_do_not_change_the_encoding(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("größer\nschöner\nüber\n".encode() * 20 + b"a\xffb\n")
    assert f"{path}, line 61: byte 0xff is not utf-8" in refused(TableError, read, path, "text")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
@pytest.mark.parametrize(
    ("content", "ending"),
    [(gzip.compress(b"text\na\n", mtime=0), ".gz"), (b"PK\x03\x04xxxx", ".xlsx"), (b"PAR1xxxx", ".parquet")],
)
def test_data_under_the_ending_of_a_text(
    tmp_path: Path, refused: Refused, name: str, content: bytes, ending: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert (
        refused(TableError, read, path, "text")
        == f"{path} holds {ending} data and no text: give it the ending {ending}"
    )


def test_settings_that_cannot_be(tmp_path: Path, refused: Refused) -> None:
    assert refused(RequestError, TableFile, "a.csv", "latin9000").startswith(
        "encoding='latin9000' is unknown: give utf-8"
    )
    assert refused(RequestError, TableFile, "a.csv", "idna").startswith("encoding='idna' is unknown: ")
    (tmp_path / "a.csv").write_text("text\nhello\n")
    assert refused(TableError, read, TableFile(tmp_path / "a.csv", "utf-16"), "text") == (
        f"{tmp_path / 'a.csv'} is not utf-16 (UTF-16 stream does not start with BOM): leave encoding out, or give "
        "another"
    )
    for delimiter in ("", ";;", '"', "\n"):
        assert refused(RequestError, TableFile, "a.csv", None, delimiter) == (
            f"delimiter={delimiter!r}: give one character, such as ; or | or a tab"
        )


def test_what_is_no_file(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "b.jsonl.gz").touch()
    assert refused(MissingFileError, read, tmp_path) == (
        f"{tmp_path} is a folder: give one of its files, such as {tmp_path / 'b.jsonl.gz'}"
    )
    (tmp_path / "empty").mkdir()
    assert "is a folder: give a .parquet, .arrow" in refused(MissingFileError, read, tmp_path / "empty")
    for device in ("/dev/null", "/dev/zero"):
        assert refused(MissingFileError, read, Path(device)).startswith(
            f"{device} is a device or a pipe: give a"
        )


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_array(tmp_path: Path, name: str, indent: int | None) -> None:
    rows = [{"text": "a, [b]"}, {"text": "2026-01-01", "other": 1}, {"text": "c ]", "other": ["x"]}]
    path = tmp_path / name
    path.write_text("\n" * (name == "a.json") + json.dumps(rows, indent=indent) + "\n")
    assert read(path, "text") == {"text": ["a, [b]", "2026-01-01", "c ]"]}


def test_a_json_array_longer_than_a_part(tmp_path: Path) -> None:
    texts = [f"text {row} " * 40 for row in range(5000)]
    (tmp_path / "a.json").write_text(json.dumps([{"text": text} for text in texts]))
    assert read(tmp_path / "a.json", "text") == {"text": texts}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".txt", ".json"])
@pytest.mark.parametrize("compression", [".gz", ".zst", ".GZ"])
def test_compressed_files(tmp_path: Path, refused: Refused, suffix: str, compression: str) -> None:
    content = {".csv": "text\na\nb\n", ".txt": "a\nb\n"}.get(
        suffix, '{"text": "a"}\n{"text": "b"}\n'
    ).encode()
    path = tmp_path / f"a.b{suffix}{compression}"
    with pa.CompressedOutputStream(
        str(path), compression.lower().replace("zst", "zstd").replace("gz", "gzip")[1:]
    ) as file:
        file.write(content)
    assert read(path, "text") == {"text": ["a", "b"]}
    path.write_bytes(path.read_bytes()[:-6])
    assert refused(TableError, read, path, "text").startswith(f"{path} is not a readable {suffix} file: ")


def test_a_compressed_parquet_file(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(b"x"))
    assert "Parquet files are compressed inside: unpack it first" in refused(TableError, read, path)


def test_excel(tmp_path: Path, said: Any) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    rows = [
        ("text", "label", "price", None), ("a\nb", 7, 1.5), (1984, True, None), (None, None, None),
        ("c", datetime.datetime(2026, 1, 2), 3, "beyond the header"), ("d", "2026-01-02", -1),
    ]  # fmt: skip
    for row in rows:
        book.active.append(row)
    book.create_sheet("notes")
    path = tmp_path / "a.xlsx"
    book.save(path)
    assert read_texts(path, ["text"], labels=["label"]) == {
        "text": ["a\nb", "1984", "c", "d"], "label": ["7", "true", "2026-01-02 00:00:00", "2026-01-02"],
    }  # fmt: skip
    assert read_texts(path, ["text"], numbers=["price"], drop_empty=True)["price"] == ["1.5", "3", "-1"]
    assert said.messages == [f"{path}: the first of 2 sheets is read, 'Sheet'"]


def test_excel_without_its_library(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    assert refused(MissingExtraError, read, tmp_path / "a.xlsx") == (
        "reading .xlsx files needs openpyxl, which is not installed: pip install 'lastword[excel]'"
    )


DATES = [datetime.date(2026, 1, 2), datetime.date(2026, 3, 4)]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        ([True, False], ["true", "false"]),
        (DATES, ["2026-01-02", "2026-03-04"]),
        (
            [datetime.datetime(2026, 1, 2, 3, 4), datetime.datetime(2026, 1, 2)],
            ["2026-01-02 03:04:00", "2026-01-02 00:00:00"],
        ),
        ([datetime.time(3, 4), datetime.time(5)], ["03:04:00", "05:00:00"]),
        ([1.5, 2.0], ["1.5", "2.0"]),
        (pa.array([1, 2], pa.decimal128(5, 2)), ["1.00", "2.00"]),
    ],
)
def test_labels_that_are_no_strings(tmp_path: Path, cells: Any, labels: list[str]) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": cells}), tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.parquet", ["text"], labels=["label"])["label"] == labels
    where = {"label": labels[0]}
    assert read_texts(tmp_path / "a.parquet", ["text"], where=where) == {"text": ["a"]}


def test_scores_that_are_decimals(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"], "score": pa.array([1, 2], pa.decimal128(5, 2))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.parquet", ["text"], numbers=["score"])["score"] == ["1.00", "2.00"]


def test_labels_of_several_types_and_strings_like_dates(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    cells = [True, 1, 2.5, "2026-01-02", "2026-01-02T03:04:05Z", "1", "null"]
    path.write_text("".join(json.dumps({"text": str(cell), "label": cell}) + "\n" for cell in cells))
    assert read_texts(path, ["text"], labels=["label"])["label"] == [
        "true", "1", "2.5", "2026-01-02", "2026-01-02T03:04:05Z", "1", "null",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "label", "blank", "negatives"])
def test_half_a_character(tmp_path: Path, refused: Refused, kind: Any) -> None:
    """JSON from truncated texts has it; no file could be written with it."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": "a"}\n{"x": "b \\ud83d\\ude00"}\n{"x": "b \\ud83d"}\n')
    message = refused(TableError, list, read_chunks(path, {"x": kind}, 5))
    assert (
        "1 of the first 3 rows have empty or non-text cells (half a character in 'x'; rows 2, counted"
        in message
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.jsonl", '{"text": "2026-01-01", "label": "007"}\n{"text": "2026-01-02", "label": "1e5"}\n'),
        ("train.csv", "text,label\n2026-01-01,007\n2026-01-02,1e5\n"),
        ("train.json", '[{"text": "2026-01-01", "label": "007"}, {"text": "2026-01-02", "label": "1e5"}]'),
    ],
)
def test_a_data_set_in_a_folder_keeps_its_texts(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    rows = {"text": ["2026-01-01", "2026-01-02"], "label": ["007", "1e5"]}
    assert read_texts(f"hub:{tmp_path}", ["text", "label"]) == rows
    assert read_texts(f"hub:{tmp_path}@train", ["text", "label"]) == rows


def test_labels_that_are_nothing(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "label": [float("nan"), 1.0]}), path)
    assert (
        "1 of 2 rows have empty or non-text cells (float in 'label'; rows 0, counted from 0); fix them or pass"
        in (refused(TableError, read_texts, path, ["text"], labels=["label"]))
    )


def test_a_column_without_any_text_gets_no_advice_to_drop_it(tmp_path: Path, refused: Refused) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    assert refused(TableError, read, tmp_path / "a.parquet", "text").endswith(
        "; choose another column or fix them"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,message,sold,day\n1,hello,true,2026-01-02\n2.5,bye,FALSE,2026-02-03\n"),
        ("a.jsonl", '{"id": 1, "message": "hello"}\n{"id": "7", "message": "bye", "day": "2026-02-03"}\n'),
        ("a.parquet", {"id": [1, 2], "message": ["hello", "bye"], "number": ["1", "2"]}),
        ("b.parquet", {"message": pa.array(["hello", "bye"]).dictionary_encode()}),
    ],
)
def test_the_only_column_of_text_is_taken(tmp_path: Path, said: Any, name: str, content: Any) -> None:
    path = tmp_path / name
    if isinstance(content, dict):
        pq.write_table(pa.table(content), path)
    else:
        path.write_text(content)
    require_columns(path, ["text"])
    assert read(path, "text") == {"text": ["hello", "bye"]}
    assert [chunk.columns for chunk in read_chunks(path, {"text": "text"}, 5)] == [{"text": ["hello", "bye"]}]
    assert said.messages == [f"{path} has no column 'text': its only column of text is taken, 'message'"]


def test_no_column_is_taken_in_place_of_another(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.csv"
    path.write_text("title,body\na,b\nc,d\n")
    assert (
        refused(TableError, read, path, "text")
        == f"{path} has no column 'text'; its columns are: title, body"
    )
    assert read_texts(path, ["text"], labels=["title"]) == {"text": ["b", "d"], "title": ["a", "c"]}
    path.write_text('title,"price, net",body\na,1,b\n')
    assert "its columns are: title; price, net; body" in refused(TableError, read, path, "text")
    path.write_text("title,n\na,1\n")
    assert "has no column 'anchor'" in refused(TableError, read, path, "anchor")


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def pipe(content: bytes) -> None:
        sources._standard_input.cache_clear()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return pipe


@pytest.mark.parametrize(
    "content",
    [
        b"text,label\na,1\nb,2\n",
        "text;label\nä;1\nb;2\n".encode("latin-1").replace(b"\xe4", b"a"),
        b"label\ttext\n1\ta\n2\tb\n",
        b'{"text": "a"}\n{"text": "b"}\n',
        b'[{"text": "a"}, {"text": "b"}]',
        b"a\nb\n",
        b"text\na\nb\n",
        gzip.compress(b"a\nb\n", mtime=0),
        gzip.compress(b'{"text": "a"}\n{"text": "b"}\n', mtime=0),  # a time would be in the name of the test
    ],
)
def test_standard_input(piped: Callable[[bytes], None], content: bytes) -> None:
    piped(content)
    for _ in range(2):  # commands read a file several times
        require_columns("-", ["text"])
        assert read(Path("-"), "text") == {"text": ["a", "b"]}


def test_interrupted_standard_input_leaves_no_file(
    piped: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(_: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    at_exit: list[tuple[Callable[..., None], dict[str, Any]]] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "copyfileobj", interrupted)
    monkeypatch.setattr(atexit, "register", lambda call, **settings: at_exit.append((call, settings)))
    piped(b"a\nb\n")
    with pytest.raises(KeyboardInterrupt):
        TableFile("-").require()
    for call, options in at_exit:
        call(**options)
    assert not list(tmp_path.iterdir())


def test_parquet_on_standard_input(piped: Callable[[bytes], None], tmp_path: Path, refused: Refused) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    piped((tmp_path / "a.parquet").read_bytes())
    assert read(Path("-"), "text") == {"text": ["a", "b"]}
    piped(b"")
    assert refused(NoRowsError, read, Path("-")) == "standard input is empty: it needs at least one row"
    piped(b"title,body\na,b\n")
    assert "standard input has no column 'text'; its columns are: title, body" in refused(
        TableError, read, Path("-"), "text"
    )


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12) | st.text(
    "ab\"'\t\n,;|[]{}", max_size=8
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[str]]:
    columns = draw(st.integers(1, 4))
    rows = draw(st.integers(1, 6))
    names = ["text", "label", "a b", "n,o"][:columns]
    return {name: draw(st.lists(CELL.filter(str.strip), min_size=rows, max_size=rows)) for name in names}


def _pandas_csv(frame: pd.DataFrame, path: Path, **how: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        frame.to_csv(file, index=False, **how)


def _arrow_csv(frame: pd.DataFrame, path: Path, **how: Any) -> None:
    pa.csv.write_csv(_arrow(frame), path, pa.csv.WriteOptions(**how))


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.table({name: pa.array(list(frame[name]), pa.string()) for name in frame})


def _csv(frame: pd.DataFrame, path: Path, **how: Any) -> None:
    with path.open("w", newline="", encoding=how.pop("encoding", "utf-8")) as file:
        csv.writer(file, **how).writerows([list(frame), *frame.itertuples(index=False)])


def _json(frame: pd.DataFrame, path: Path, lines: bool, ascii: bool = True) -> None:
    records = frame.to_dict("records")
    texts = [json.dumps(row, ensure_ascii=ascii) for row in records]
    path.write_text("\n".join(texts) if lines else json.dumps(records, indent=1), encoding="utf-8")


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "pandas.csv": _pandas_csv,
    "pandas-all.csv": lambda frame, path: _pandas_csv(frame, path, quoting=csv.QUOTE_ALL),
    "pandas-semicolon.csv": lambda frame, path: _pandas_csv(frame, path, sep=";"),
    "pandas-bar.csv": lambda frame, path: _pandas_csv(frame, path, sep="|"),
    "pandas.tsv": lambda frame, path: _pandas_csv(frame, path, sep="\t"),
    "pandas.parquet": lambda frame, path: frame.to_parquet(path),
    "pandas.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "pandas.json": lambda frame, path: frame.to_json(path, orient="records"),
    "pandas-raw.json": lambda frame, path: frame.to_json(path, orient="records", force_ascii=False, indent=2),
    "arrow.csv": _arrow_csv,
    "arrow-all.csv": lambda frame, path: _arrow_csv(frame, path, quoting_style="all_valid"),
    "arrow.tsv": lambda frame, path: _arrow_csv(frame, path, delimiter="\t"),
    "arrow.parquet": lambda frame, path: pq.write_table(_arrow(frame), path),
    "excel.csv": lambda frame, path: _csv(frame, path, dialect="excel"),
    "unix.csv": lambda frame, path: _csv(frame, path, dialect="unix"),
    "excel-tab.tsv": lambda frame, path: _csv(frame, path, dialect="excel-tab"),
    "excel-tab.csv": lambda frame, path: _csv(frame, path, dialect="excel-tab"),
    "utf16.csv": lambda frame, path: _csv(frame, path, dialect="excel", encoding="utf-16"),
    "bom.csv": lambda frame, path: _csv(frame, path, dialect="excel", encoding="utf-8-sig"),
    "json.jsonl": lambda frame, path: _json(frame, path, lines=True),
    "json-raw.jsonl": lambda frame, path: _json(frame, path, lines=True, ascii=False),
    "json.json": lambda frame, path: _json(frame, path, lines=False),
}


@pytest.mark.parametrize("writer", WRITERS)
@given(table=tables())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(table={"text": ['"a', 'b"'], "label": ["x", "y"]})
@example(table={"text": ["a;b", "c;d"], "label": ["1", "2"]})
@example(table={"text": ["2026-01-01", "1e5"], "label": ["true", "007"]})
def test_what_others_write_comes_back(tmp_path: Path, writer: str, table: dict[str, list[str]]) -> None:
    path = tmp_path / writer
    cells = [cell for column in table.values() for cell in column]
    if path.suffix in (".csv", ".tsv"):
        # Python's csv module before 3.13 leaves a carriage return alone without quotation marks.
        assume(not any("\r" in cell for cell in cells))
    if "tab" in writer or path.suffix == ".tsv":
        assume(not any("\t" in cell and "\n" in cell for cell in cells))  # ambiguous, see `delimited.py`
    WRITERS[writer](pd.DataFrame(table), path)
    assert read(path, *table) == table
    whole: dict[str, Sequence[str]] = {name: [] for name in table}
    for chunk in read_chunks(path, dict.fromkeys(table, "text"), 2):
        whole = {name: [*whole[name], *chunk.columns[name]] for name in table}
    assert whole == table


@given(st.text(max_size=60), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_unicode_is_never_taken_for_another_encoding(text: str, encoding: str) -> None:
    assume("\x00" not in text)
    content = text.encode(encoding, "ignore")
    assert content.decode(detect_encoding(content, True)) == content.decode(encoding)
