"""Files of every format give the same columns, in chunks and whole; a bad file gives one clear line."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from lastword.errors import MissingFileError, NoRowsError, TableError
from lastword.files.formats import BLOCK_ROWS, STORED, count_rows
from lastword.files.sources import FORMATS, TableFile
from lastword.files.tables import read_chunks, read_texts, require_columns
from lastword.files.typed import read_table

Refused = Callable[..., str]
Write = Callable[[str, Any], Path]
ROWS = {"text": ["a, b", 'say "hi"', "Größe 🚀\nline two"], "label": ["007", "x", "null"]}
AS_CSV = 'text,label\n"a, b",007\n"say ""hi""",x\n"Größe 🚀\nline two",null\n'
AS_JSON = (
    '{"text": "a, b", "label": "007"}\n'
    '{"text": "say \\"hi\\"", "label": "x"}\n'
    '{"text": "Größe 🚀\\nline two", "label": "null"}\n'
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write text, bytes or columns (as Parquet) to a file."""

    def write(name: str, content: str | bytes | dict[str, Any]) -> Path:
        path = tmp_path / name
        if isinstance(content, dict):
            (pq.write_table if path.suffix == ".parquet" else feather.write_feather)(pa.table(content), path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def in_chunks(path: Path | str, size: int, **kinds: Any) -> dict[str, list[str]]:
    """Columns read chunk by chunk, joined."""
    columns: dict[str, list[str]] = {name: [] for name in kinds}
    rows: list[int] = []
    for chunk in read_chunks(path, kinds, size):
        rows += chunk.rows
        for name, cells in chunk.columns.items():
            columns[name] += cells
    assert rows == list(range(len(rows)))
    return columns


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", ROWS),
        ("dictionary.parquet", {name: pa.array(cells).dictionary_encode() for name, cells in ROWS.items()}),
        ("a.arrow", ROWS),
        ("dictionary.feather", {name: pa.array(cells).dictionary_encode() for name, cells in ROWS.items()}),
        ("a.csv", AS_CSV),
        ("a.CSV", AS_CSV),
        ("bom.csv", "\ufeff" + AS_CSV),
        ("crlf.csv", AS_CSV.replace("007\n", "007\r\n").replace("text,label\n", "text,label\r\n")),
        ("blank_line.csv", AS_CSV.replace("007\n", "007\n\n")),
        ("no_last_newline.csv", AS_CSV.removesuffix("\n")),
        ("a.tsv", AS_CSV.replace('"a, b",', "a, b\t").replace('",', '"\t').replace("text,", "text\t")),
        ("a.jsonl", AS_JSON),
        ("bom.jsonl", "\ufeff" + AS_JSON.replace("\n", "\r\n")),
        ("a.json", AS_JSON),
        ("pretty.json", AS_JSON.replace(", ", ",\n  ").replace("a,\n  b", "a, b")),
    ],
)
def test_every_format_gives_the_same_columns(write: Write, name: str, content: Any, size: int) -> None:
    path = write(name, content)
    assert read_texts(path, ["text"], labels=["label"]) == ROWS
    assert in_chunks(path, size, text="text", label="label") == ROWS
    assert read_table(path).to_pydict() == ROWS


def test_plain_text_has_one_text_a_line(write: Write) -> None:
    path = write("a.txt", "\ufeffone\r\ntwo, and\x0cmore\u2028of it\nthree\n")
    texts = {"text": ["one", "two, and\x0cmore\u2028of it", "three"]}
    assert read_texts(path, ["text"]) == in_chunks(path, 2, text="text") == texts


CELLS: list[tuple[object, dict[str, str]]] = [
    ("abc", {"text": "abc", "label": "abc", "blank": "abc", "number": "!not a number"}),
    (" 7 ", {"text": " 7 ", "label": " 7 ", "blank": " 7 ", "number": " 7 "}),
    ("", {"text": "!empty", "label": "!empty", "blank": "", "number": "!empty"}),
    (" \n", {"text": "!empty", "label": "!empty", "blank": " \n", "number": "!empty"}),
    (None, {"text": "!null", "label": "!null", "blank": "", "number": "!null"}),
    (-12, {"text": "!int", "label": "-12", "blank": "!int", "number": "-12"}),
    (True, {"text": "!bool", "label": "true", "blank": "!bool", "number": "1"}),
    (0.5, {"text": "!float", "label": "0.5", "blank": "!float", "number": "0.5"}),
    (["a"], {"text": "!list", "label": "!list", "blank": "!list", "number": "!not a number"}),
    ({"a": 1}, {"text": "!dict", "label": "!dict", "blank": "!dict", "number": "!not a number"}),
    ("nan", {"text": "nan", "label": "nan", "blank": "nan", "number": "!not a number"}),
]
"""Cell → kind of column → the result, or "!" and the reason why it is unusable."""


@pytest.mark.parametrize("kind", ["text", "label", "blank", "number"])
@pytest.mark.parametrize(
    ("suffix", "cell", "results"),
    [
        (suffix, cell, results)
        for suffix in (".parquet", ".jsonl", ".json", ".csv", ".tsv")
        for cell, results in CELLS
        if isinstance(cell, str) or suffix not in (".csv", ".tsv")  # they have strings only
    ],
)
def test_the_rule_for_cells(
    write: Write, suffix: str, cell: object, results: dict[str, str], kind: Any, refused: Refused
) -> None:
    if suffix == ".parquet":
        path = write("a.parquet", {"cell": [cell], "row": ["0"]})
    elif suffix.startswith(".json"):
        path = write(f"a{suffix}", json.dumps({"cell": cell, "row": "0"}))
    else:
        separator = "," if suffix == ".csv" else "\t"
        path = write(f"a{suffix}", f'cell{separator}row\n"{cell}"{separator}0\n')
    columns = {"text": {}, "label": {"labels": ["cell"]}, "number": {"numbers": ["cell"]}}
    if results[kind].startswith("!"):
        message = refused(TableError, list, read_chunks(path, {"cell": kind, "row": "text"}, 5))
        assert f"{results[kind][1:]} in 'cell'" in message
        (chunk,) = read_chunks(path, {"cell": kind, "row": "text"}, 5, drop_empty=True)
        assert (chunk.rows, chunk.read, chunk.columns) == ([], 1, {"cell": [], "row": []})
        if kind != "blank":
            whole = refused(TableError, read_texts, path, ["cell"] if kind == "text" else [], **columns[kind])
            assert whole == message.replace("the first ", "")
    else:
        assert in_chunks(path, 5, cell=kind, row="text") == {"cell": [results[kind]], "row": ["0"]}
        if kind != "blank":
            cells = read_texts(path, ["cell"] if kind == "text" else [], **columns[kind])
            assert cells == {"cell": [results[kind]]}


def test_a_key_that_a_json_object_lacks_is_null(write: Write, refused: Refused) -> None:
    lines = ['{"text": "a"}', '{"label": "x"}', '{"text": "c", "label": "y", "n": [1]}']
    path = write("a.jsonl", "\n".join(lines))
    assert read_texts(path, ["text"], drop_empty=True) == {"text": ["a", "c"]}
    (chunk,) = read_chunks(path, {"text": "text"}, 9, optional=["label"], drop_empty=True)
    assert chunk.columns == {"text": ["a", "c"], "label": ["", "y"]}
    assert "(null in 'text'; rows 1, counted" in refused(TableError, read_texts, path, ["text"])
    assert read_table(path).to_pydict() == {
        "text": ["a", None, "c"], "label": [None, "x", "y"], "n": [None, None, [1]],
    }  # fmt: skip


def test_an_optional_column_may_begin_late(write: Write) -> None:
    lines = ['{"text": "a"}'] * (BLOCK_ROWS + 5) + ['{"text": "b", "negative": "c"}', '{"negative": "d"}']
    path = write("a.jsonl", "\n".join(lines))
    (chunk,) = read_chunks(path, {"text": "text"}, 9999, optional=["negative"], drop_empty=True)
    cells = chunk.columns
    assert len(cells["text"]) == len(cells["negative"]) == BLOCK_ROWS + 6
    assert [cell for cell in cells["negative"] if cell] == ["c"]


def test_columns_that_nobody_asks_for_may_have_any_type(write: Write) -> None:
    path = write(
        "a.jsonl", '{"text": "2026-01-01", "x": 1}\n{"text": "b", "x": "one"}\n{"text": "c", "x": {}}\n'
    )
    assert read_texts(path, ["text"]) == {"text": ["2026-01-01", "b", "c"]}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_one_text_of_three_megabytes(write: Write, suffix: str) -> None:
    text = "word " * 600_000 + "end"
    content = f'text,label\n"{text}",x\n' if suffix == "csv" else f'{{"text": "{text}"}}\n'
    assert read_texts(write(f"a.{suffix}", content), ["text"]) == {"text": [text]}


def test_optional_columns_are_read_if_they_exist(write: Write) -> None:
    path = write("a.parquet", {"text": ["a", "b"], "label": ["x", None]})
    (chunk,) = read_chunks(path, {"text": "text"}, 9, optional=["label", "split"])
    assert chunk.columns == {"text": ["a", "b"], "label": ["x", ""], "split": ["", ""]}


def test_a_column_may_be_named_twice(write: Write) -> None:
    assert read_texts(write("a.csv", "text\na\n"), ["text", "text"], labels=["text"]) == {"text": ["a"]}


def test_where_keeps_the_rows_of_one_value(write: Write, refused: Refused) -> None:
    path = write("a.parquet", {"text": ["a", None, "c"], "split": ["test", "train", "test"], "n": [1, 1, 2]})
    assert read_texts(path, ["text"], where={"split": "test"}) == {"text": ["a", "c"]}
    assert read_texts(path, ["text"], where={"split": "test", "n": "2"}) == {"text": ["c"]}
    assert refused(TableError, read_texts, path, ["text"], where={"split": "train"}) == (
        f"{path}: 1 of 1 rows have empty or non-text cells (null in 'text'; rows 1, counted from 0); "
        "choose another column or fix them"
    )


def test_where_without_a_row(write: Write, refused: Refused) -> None:
    path = write("a.csv", "text,split\na,train\nb,dev\n")
    assert refused(TableError, read_texts, path, ["text"], where={"split": "test"}) == (
        f"{path} has no row with split = 'test'; the values there are: dev, train"
    )
    assert refused(TableError, read_texts, path, ["text"], where={"fold": "1"}) == (
        f"{path} has no column 'fold'; its columns are: text, split"
    )


BAD = {"text": ["a", None, " \n", "b", ""], "label": [[1], [2], None, [1], [1]]}


def test_unusable_cells_are_counted_and_shown(write: Write, refused: Refused) -> None:
    path = write("a.parquet", BAD)
    assert refused(TableError, read_texts, path, ["text"]) == (
        f"{path}: 3 of 5 rows have empty or non-text cells (empty in 'text'; null in 'text'; rows 1, 2, 4, "
        "counted from 0); fix them or pass drop_empty=True"
    )
    assert refused(TableError, read_texts, path, ["text"], labels=["label"]) == (
        f"{path}: 5 of 5 rows have empty or non-text cells (empty in 'text'; list in 'label'; null in 'text'; "
        "rows 0, 1, 2, 3, 4, counted from 0); choose another column or fix them"
    )
    assert refused(TableError, list, read_chunks(path, {"text": "text"}, 2)) == (
        f"{path}: 1 of the first 2 rows have empty or non-text cells (null in 'text'; rows 1, counted from 0); "
        "fix them or pass drop_empty=True"
    )


def test_only_five_rows_are_shown(write: Write, refused: Refused) -> None:
    path = write("a.csv", "text,n\n" + ",1\n" * 7)
    assert refused(TableError, read_texts, path, ["text"]) == (
        f"{path}: 7 of 7 rows have empty or non-text cells (empty in 'text'; rows 0, 1, 2, 3, 4, …, counted from 0); "
        "choose another column or fix them"
    )


def test_drop_empty_drops_whole_rows(write: Write, refused: Refused) -> None:
    path = write("a.parquet", {**BAD, "row": ["0", "1", "2", "3", "4"]})
    assert read_texts(path, ["text", "row"], drop_empty=True) == {"text": ["a", "b"], "row": ["0", "3"]}
    chunks = list(read_chunks(path, {"text": "text", "row": "text"}, 3, drop_empty=True))
    assert [(chunk.rows, chunk.columns["row"], chunk.read) for chunk in chunks] == [
        ([0], ["0"], 3), ([3], ["3"], 2),
    ]  # fmt: skip
    assert refused(TableError, read_texts, path, ["text"], labels=["label"], drop_empty=True) == (
        f"{path}: no row has usable cells in text, label"
    )


@pytest.mark.parametrize("value", [None, 3, ["a.csv"], pandas.DataFrame({"text": ["a"]}), b"a.csv"])
def test_what_is_no_path(value: Any, refused: Refused) -> None:
    message = f"{type(value).__name__} is no file: give the path of one"
    for read in (read_table, lambda path: read_texts(path, ["text"]), TableFile):
        assert refused(MissingFileError, read, value) == message
    assert "the path of a file is empty: give a" in refused(MissingFileError, require_columns, "", ["text"])


def test_missing_file(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "none.csv"
    message = (
        f"no file {path}: give a .parquet, .arrow, .feather, .csv, .tsv, .jsonl, .json, .txt, .xlsx file "
        "that exists, or - for standard input"
    )
    for read in (read_table, lambda path: read_texts(path, ["text"])):
        assert refused(MissingFileError, read, path) == message
    assert refused(MissingFileError, list, read_chunks(str(path), {"text": "text"}, 1)) == message
    assert refused(MissingFileError, require_columns, path, ["text"]) == message


def test_unknown_suffixes(write: Write, refused: Refused) -> None:
    formats = ".parquet, .arrow, .feather, .csv, .tsv, .jsonl, .json, .txt, .xlsx, each also with .gz or .zst behind it"
    for name, kind in (
        ("a.docx", ".docx"),
        ("a", "a file without a suffix"),
        ("a.gz", "a file without a suffix"),
    ):
        path = write(name, "x")
        assert refused(TableError, read_table, path) == f"{path}: cannot read {kind}; use {formats}"


def test_files_without_rows(write: Write, refused: Refused) -> None:
    path = write("a.csv", "")
    assert refused(NoRowsError, read_table, path) == f"{path} is empty: it needs at least one row"
    for path in (write("b.csv", "text,label\n"), write("b.parquet", {"text": pa.array([], pa.string())})):
        message = f"{path} has columns but no rows: it needs at least one row"
        assert refused(NoRowsError, read_table, path) == message
        assert refused(NoRowsError, list, read_chunks(path, {"text": "text"}, 5)) == message


def _damaged_parquet(at: slice, by: int = 0) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"{row} words" for row in range(1000)]}), sink)
    content = bytearray(sink.getvalue().to_pybytes())
    content[at] = bytes([by]) * len(content[at])
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("not.parquet", b"hello, this is not a Parquet file", ""),
        ("header.parquet", _damaged_parquet(slice(4, 200)), ""),
        ("footer.parquet", _damaged_parquet(slice(-40, -8), 0x55), ""),
        (
            "ragged.csv",
            b"text,label\na,1\nb\n",
            "line 3 has 1 cell, the header has 2: put quotation marks around",
        ),
        (
            "long.csv",
            b"text,label\na,1\nb, c,2\n",
            "line 3 has 3 cells, the header has 2: put quotation marks",
        ),
        ("open.csv", b'text,label\n"a, b",1\n"c,2\n', "line 3: a quotation mark is never closed; put"),
        ("odd.csv", b'text,label\n"a, b",1\n"c" d,2\n', "line 3: text follows a closing quotation mark; put"),
        ("number.jsonl", b'{"text": "a"}\n7\n', 'line 2: not an object, such as {"text": "a red apple"}'),
        ("number.json", b'[{"text": "a"},\n7]', 'line 2: not an object, such as {"text": "a red apple"}'),
        (
            "columns.json",
            b'{"text": {"0": "a"}, "label": {"0": "x"}}',
            "line 1: an object of columns: write one",
        ),
        (
            "open.json",
            b'[{"text": "a"},\n {"text": "b"}',
            "the array has no closing ]: the file is truncated",
        ),
        ("deep.jsonl", b'{"a": ' + b"[" * 100_000, "line 1: "),
        (
            "digits.json",
            b'{"text": "a"}\n{"a": ' + b"1" * 5000 + b"}",
            "line 2: Exceeds the limit (4300 digits)",
        ),
        ("no.xlsx", b"PK\x03\x04 and more", "it is no workbook of Excel, or damaged ("),
        ("half.jsonl", b'{"text": "a"}\n{"text": "a"\n', "line 2: Expecting ',' delimiter"),
        ("half.json", b'{"text": "a"}\n{"text": "a"\n', "line 3: Expecting ',' delimiter"),
    ],
)
def test_unreadable_content(write: Write, refused: Refused, name: str, content: bytes, reason: str) -> None:
    path = write(name, content)
    message = refused(TableError, read_texts, path, ["text"])
    assert message.startswith(f"{path} is not a readable {path.suffix} file: {reason}")
    assert "\n" not in message
    assert refused(TableError, list, read_chunks(path, {"text": "text"}, 5)) == message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "titel,label\na,1\n"),
        ("a.jsonl", '{"titel": "a", "label": "1"}'),
        ("a.parquet", {"titel": ["a"], "label": [1]}),
    ],
)
def test_missing_column(write: Write, refused: Refused, name: str, content: Any) -> None:
    path = write(name, content)
    message = f"{path} has no column 'title'; its columns are: titel, label"
    assert refused(TableError, read_texts, path, ["title"]) == message
    assert refused(TableError, list, read_chunks(path, {"title": "text"}, 5)) == message
    assert refused(TableError, require_columns, path, ["label", "title"]) == message
    require_columns(path, ["label", "titel"])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_two_columns_of_one_name(write: Write, tmp_path: Path, refused: Refused, name: str) -> None:
    path = tmp_path / name
    if name == "a.csv":
        path.write_text("text,text,label\na,b,1\n")
    else:
        pq.write_table(pa.table([["a"], ["b"], ["1"]], ["text", "text", "label"]), path)
    assert refused(TableError, read_texts, path, ["text"]) == (
        f"{path} has several columns 'text': rename all but one"
    )
    assert read_texts(path, ["label"]) == {"label": ["1"]}


def test_a_table_keeps_order_and_types(write: Write) -> None:
    columns = {
        "a": pa.array([1, None], pa.int16()),
        "b": pa.array(["x", "y"]).dictionary_encode(),
        "c": pa.array([0.1, 0.2], pa.float32()),
        "d": pa.array([[1.5], []], pa.list_(pa.float32())),
    }
    path = write("a.parquet", columns)
    assert read_table(path).equals(pq.read_table(path))
    assert read_table(path, ["c", "a"]).equals(pq.read_table(path).select(["c", "a"]))


def test_a_column_of_several_types_becomes_text_in_a_table(write: Write) -> None:
    path = write(
        "a.jsonl",
        '{"text": "a", "x": 1, "y": 1}\n{"text": "b", "x": "one", "y": null}\n{"text": "c", "x": {"n": []}}\n',
    )
    assert read_table(path).to_pydict() == {
        "text": ["a", "b", "c"], "x": ["1", "one", '{"n": []}'], "y": [1, None, None],
    }  # fmt: skip


@pytest.mark.parametrize(
    "suffix",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in (".csv", ".jsonl", ".parquet")))
        for name in FORMATS
        if name != ".xlsx"
    ],
)
def test_memory_does_not_grow_with_the_file(write: Write, suffix: str) -> None:
    """Forty times the rows take about the same memory, in processes of their own."""
    code = (
        "import sys; from lastword.files.tables import read_chunks\n"
        "print(sum(len(chunk.rows) for chunk in read_chunks(sys.argv[1], {'text': 'text'}, 1000)))\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    peaks = []
    for count in (5_000, 200_000):
        texts = [f"{row} text of some length, which is repeated {row} times" for row in range(count)]
        content: Any = {"text": texts} if suffix in STORED else "\n".join(texts)
        if suffix in (".csv", ".tsv"):
            content = "text\n" + "\n".join(f'"{text}"' for text in texts)
        elif suffix.startswith(".json"):
            content = "\n".join(json.dumps({"text": text}) for text in texts)
        path = write(f"{count}{suffix}", content)
        run = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
        rows, peak = run.stdout.split()
        assert int(rows) == count
        peaks.append(int(peak) / 1024)
    assert peaks[1] < peaks[0] + 30, peaks


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("suffix", [name for name in FORMATS if name != ".xlsx"])
def test_rows_are_counted(write: Write, suffix: str, packed: str) -> None:
    """Also of compressed files, and of JSON on other lines than its objects."""
    texts = [f"text {row}" for row in range(10)]
    content: Any = {"text": texts} if suffix in STORED else "\n".join(texts)
    if suffix in (".csv", ".tsv"):
        content = "text\n" + content
    elif suffix.startswith(".json"):
        rows = [{"text": text} for text in texts]
        content = "\n".join(map(json.dumps, rows)) if suffix == ".jsonl" else json.dumps(rows, indent=1)
    path = write(f"a{suffix}", content)
    if packed:
        path = path.parent / f"{path.name}{packed}"
        path.write_bytes(gzip.compress((path.parent / f"a{suffix}").read_bytes()))
    expected = 0 if packed and suffix in STORED else 10  # which are compressed inside, and refused
    assert count_rows(path) == expected
    assert count_rows(f"none{suffix}{packed}") == 0


def test_rows_of_workbooks_and_of_unreadable_files_are_counted(tmp_path: Path, write: Write) -> None:
    openpyxl = pytest.importorskip(
        "openpyxl", reason="openpyxl is not installed: pip install 'lastword[excel]'"
    )
    book = openpyxl.Workbook()
    for row in ("text", *range(10)):
        book.active.append([row])
    book.save(tmp_path / "a.xlsx")
    assert count_rows(tmp_path / "a.xlsx") == 10
    for name in ("b.xlsx", "b.json", "b.parquet", "b.csv.gz"):
        assert count_rows(write(name, "no such format")) == 0, name


def test_real_file(data_folder: Path) -> None:
    data = read_texts(data_folder / "clustering" / "sib200_eng.parquet", ["text"], labels=["label"])
    assert len(data["text"]) == 1004
    assert len(set(data["label"])) == 7
