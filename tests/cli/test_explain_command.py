"""`lastword explain` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lastword.cli import main

TINY = ["--dtype", "float32", "--device", "cpu", "--max-texts", "4"]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["explain", *(str(arg) for arg in args)])


@pytest.fixture
def texts_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text(
        "text,kind\n" + "".join(f"the river {i} was low,a\nshe sold house {i},b\n" for i in range(5))
    )
    return path


def test_tables_and_files(tmp_path: Path, texts_file: Path, llama_folder: Path) -> None:
    out = tmp_path / "explained"
    result = run(
        texts_file,
        "--model",
        llama_folder,
        "--text",
        "a car",
        "--label-column",
        "kind",
        "--output",
        out,
        *TINY,
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        f"4 of 10 texts of {texts_file}; (low … high) is a 95 % interval over the texts\n"
    )
    for part in (
        "attention of the last token",
        "content words:",
        "geometry of the vectors",
        "nearest words",
        "“a car”",
    ):
        assert part in result.stdout
    assert sorted(path.name for path in out.iterdir()) == ["attention.svg", "explain.html", "explain.json"]
    again = run(texts_file, "--model", llama_folder, "--output", out, *TINY)
    assert again.exit_code == 2
    assert f"lastword: {out} exists: choose another path or pass --overwrite" in again.output


def test_json_is_what_the_file_holds(tmp_path: Path, texts_file: Path, llama_folder: Path) -> None:
    result = run(
        texts_file, "--model", llama_folder, "--clusters", 2, "--output", tmp_path / "out", "--json", *TINY
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "out" / "explain.json").read_text())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "nothing to explain: give --model, or --checkpoints with the folder of a training run"),
        (
            ["--model", "{model}", "--text-column", "body"],
            "has no column 'body'; its columns are: text, kind",
        ),
        (["--model", "{model}", "--clusters", "9"], "--clusters 9: there are 4 texts; give 1 … 4"),
        (["--checkpoints", "no"], "no folder no: give one that exists"),
    ],
)
def test_bad_requests_get_one_line(
    args: list[str], message: str, texts_file: Path, llama_folder: Path
) -> None:
    result = run(texts_file, *(arg.format(model=llama_folder) for arg in args), *TINY)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
