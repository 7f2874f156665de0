"""Every command that reads a table reads it from standard input, and in any encoding and with any delimiter."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lastword.cli import main
from lastword.cli.checks import TABLE
from lastword.files import sources
from tests.cli.test_help import LEAVES

OUT = ["--output", "{out}"]
COMMANDS: list[list[str]] = [
    ["evaluate", "{file}", "--model", "mini"],
    ["evaluate", "{file}", "--model", "mini", "--task", "sts"],
    ["probe", "{file}"],
    ["explain", "{file}", "--model", "mini"],
    ["pairs", "generate", "{file}", "--model", "m", "--endpoint", "http://localhost:1", *OUT],
    ["embed", "{file}", *OUT],
    ["distill", "mini", "--texts", "{file}", *OUT],
    ["whiten", "mini", "--texts", "{file}", *OUT],
    ["cluster", "{file}", "--map", "pca", *OUT],
    ["adapt", "{file}", "--map", "pca", *OUT],
    ["plan", "embed", "{file}"],
    ["plan", "train", "--pairs", "{file}"],
    ["plan", "cluster", "{file}"],
    ["plan", "adapt", "{file}", "--map", "pca"],
    ["plan", "evaluate", "{file}"],
    ["plan", "distill", "mini", "--texts", "{file}"],
    ["pairs", "translate", "{file}", *OUT],
    ["pairs", "noise", "{file}", *OUT],
    ["pairs", "crop", "{file}", *OUT],
    ["pairs", "labels", "{file}", *OUT],
    ["pairs", "import", "{file}", *OUT],
    ["pairs", "neighbours", "{file}", *OUT],
    ["pairs", "dropout", "{file}", *OUT],
    ["pairs", "check", "{file}"],
    ["pairs", "check", "pairs", "--evaluation", "{file}"],
    ["pairs", "mine", "{file}", *OUT],
    ["pairs", "compare", "{file}", "pairs", *OUT],
    ["pairs", "compare", "pairs", "pairs+pairs", "--dev", "{file}", *OUT],
    ["train", "--pairs", "{file}", *OUT],
    ["train", "--dev", "{file}", *OUT],
    ["reproduce", "table3", "--pairs", "nli={file}", *OUT],
    ["sweep", "mini", "--set", "rank=4,8", "--dev", "{file}", *OUT],
    ["compare-strategies", "mini", "--dev", "{file}", *OUT],
]
CONTENT = "größe;länge\nein Satz;noch einer, anders\n"
READ = "; its columns are: größe, länge"
"""The end of the error where the file was read and does not have the column."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("given", ["-", "file"])
def test_every_command_reads_any_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], given: str
) -> None:
    sources._standard_input.cache_clear()
    monkeypatch.chdir(tmp_path)
    content = CONTENT.encode("cp500")  # no detection tells EBCDIC from other encodings
    Path("file.csv").write_bytes(content)
    file = "-" if given == "-" else "file.csv"
    arguments = [part.format(file=file, out=tmp_path / "out.parquet") for part in command]
    result = CliRunner().invoke(main, [*arguments, "--encoding", "cp500", "--delimiter", ";"], input=content)
    assert result.exit_code == 2
    assert result.output.rstrip().removesuffix("; choose one with --text-column").endswith(READ), (
        result.output
    )


def test_the_commands_are_all() -> None:
    """A command with a table has both options, and is among the above."""
    with_options = {
        path.removeprefix("lastword ")
        for path, command in LEAVES.items()
        if {"encoding", "delimiter"} <= {parameter.name for parameter in command.params}
    }
    assert with_options == {" ".join(parts[: 1 + (parts[0] in ("pairs", "plan"))]) for parts in COMMANDS}
    with_tables = {
        path.removeprefix("lastword ")
        for path, command in LEAVES.items()
        if any(parameter.type is TABLE for parameter in command.params)
    }
    assert with_tables <= with_options


@pytest.mark.parametrize("given", ["-", "notes.csv"])
def test_pairs_of_a_piped_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    sources._standard_input.cache_clear()
    monkeypatch.chdir(tmp_path)
    content = "note;n\nein größerer Satz;1\nnoch ein Satz, länger;2\n".encode("latin-1")
    Path("notes.csv").write_bytes(content)
    result = CliRunner().invoke(main, ["pairs", "dropout", given, "--output", "out.jsonl"], input=content)
    assert result.exit_code == 0, result.output
    name = {"-": "standard input"}.get(given, given)
    assert (
        f"{name}: encoding cp1252, delimiter ';' (detected; --encoding … and --delimiter … override it)"
        in result.output
    )
    assert f"{name} has no column 'text': its only column of text is taken, 'note'" in result.output
    assert '"anchor": "ein größerer Satz"' in Path("out.jsonl").read_text()
    assert f'"source": "{name}:0"' in Path("out.jsonl").read_text()
