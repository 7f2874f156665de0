"""Help: named groups, whole lines, choices, two examples that run as they are; shell completion."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from lastword.augment import NOISES
from lastword.cli import main
from lastword.cli.command import GENERAL, Command, Option, as_flags, broken
from lastword.cli.main import COMMANDS


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its path, groups included."""
    parent = main.make_context("lastword", ["--help"], resilient_parsing=True)
    yield "lastword", main
    for name in main.list_commands(parent):
        command = main.get_command(parent, name)
        assert command is not None
        yield f"lastword {name}", command
        if isinstance(command, click.Group):
            yield from ((f"lastword {name} {inner}", sub) for inner, sub in command.commands.items())


ALL = dict(commands())
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


def help_of(path: str, width: int) -> str:
    return CliRunner().invoke(main, [*path.split()[1:], "--help"], terminal_width=width).output


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("path", ALL)
def test_no_line_is_cut_or_too_long(path: str, width: int) -> None:
    text = help_of(path, width)
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert "..." not in re.sub(r"[A-Z\]]\.\.\.", "", text), "click cuts descriptions with three points"


@pytest.mark.parametrize("path", ALL)
def test_help_ends_with_two_examples_that_parse(path: str) -> None:
    command = ALL[path]
    assert len(command.examples) == 2  # type: ignore[attr-defined]
    text = help_of(path, 100)
    end = text[text.index("\nExamples:\n") :]
    assert [line.strip() for line in end.replace("\\\n", "").splitlines()[2:]] != []
    for example in command.examples:  # type: ignore[attr-defined]
        assert re.sub(r"\s+", " ", example) in re.sub(r"(\s|\\\n)+", " ", end)
        words = shlex.split(example)
        assert words[0] == "lastword"
        found, arguments = _command(words[1:])
        context = found.make_context(found.name or "", arguments)
        assert example.startswith(path), "an example of another command"
        assert context.params


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = main
    while isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), words[0])
        assert inner is not None, words
        command, words = inner, words[1:]
    return command, words


@pytest.mark.parametrize("path", LEAVES)
def test_options_have_a_group_and_a_description(path: str) -> None:
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Argument):
            assert parameter.help, parameter.name
        else:
            assert isinstance(parameter, Option)
            assert parameter.help, parameter.name
            assert (parameter.group == GENERAL) == (parameter.name == "quiet")


@pytest.mark.parametrize("path", LEAVES)
def test_numbers_have_both_limits(path: str) -> None:
    for parameter in LEAVES[path].params:
        if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType):
            limits = (getattr(parameter.type, "min", None), getattr(parameter.type, "max", None))
            assert None not in limits, f"{path} --{parameter.name}"


def test_one_name_has_one_meaning() -> None:
    """An option that several commands have is the same flag with the same type and kind everywhere."""
    first: dict[str, tuple[object, ...]] = {}
    for path, command in LEAVES.items():
        for parameter in command.params:
            if isinstance(parameter, click.Argument) or path.startswith(
                ("lastword cache", "lastword pairs generate")
            ):
                continue
            for flag in parameter.opts:
                signature = (tuple(parameter.opts), type(parameter.type), parameter.is_flag)
                assert first.setdefault(flag, signature) == signature, f"{path} {flag}"


def test_descriptions_are_those_of_the_commands() -> None:
    parent = click.Context(main)
    for name, description in COMMANDS.items():
        command = main.get_command(parent, name)
        assert command is not None
        assert command.get_short_help_str(1000) == description


def test_lists_of_names_are_those_of_the_library() -> None:
    from lastword.evaluation.local import TASKS
    from lastword.pairs import PRESETS
    from lastword.paper.scales import SCALES
    from lastword.paper.tables import PAGES
    from lastword.probing.measures import MEASURES
    from lastword.whitening import METHODS

    def choices(path: str, name: str) -> object:
        return next(p.type for p in LEAVES[path].params if p.name == name)

    assert choices("lastword evaluate", "task").choices == TASKS  # type: ignore[attr-defined]
    assert choices("lastword pairs import", "preset").choices == tuple(PRESETS)  # type: ignore[attr-defined]
    assert choices("lastword pairs noise", "kinds").each.choices == tuple(NOISES)  # type: ignore[attr-defined]
    assert choices("lastword reproduce", "tables").choices == (*PAGES, "all")  # type: ignore[attr-defined]
    assert choices("lastword whiten", "method").choices == METHODS  # type: ignore[attr-defined]
    assert set(choices("lastword reproduce", "scale").choices) == set(SCALES)  # type: ignore[attr-defined]
    assert all(name in help_of("lastword probe", 100) for name in MEASURES)


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("lastword ev", ["plain,evaluate"]),
        ("lastword pairs no", ["plain,noise"]),
        ("lastword evaluate x.csv --task cl", ["plain,clustering", "plain,classification"]),
        ("lastword train --label", ["plain,--label-column"]),
    ],
)
def test_shell_completion(words: str, completions: list[str]) -> None:
    environment = {
        **os.environ,
        "_LASTWORD_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    code = "import sys; from lastword.cli import main; main(prog_name='lastword')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == completions, done.stderr


def test_examples_are_broken_before_options() -> None:
    assert broken("lastword train --pairs a.csv --output b", 30) == [
        "lastword train --pairs a.csv \\",
        "    --output b",
    ]
    assert broken("lastword demo", 30) == ["lastword demo"]


@pytest.mark.parametrize(
    ("message", "translated"),
    [
        ("x exists: pass overwrite=True", "x exists: pass --overwrite"),
        ("pass resume=True to continue it or overwrite=True", "pass --resume to continue it or --overwrite"),
        ('no column; pass label_column="…"', "no column; pass --label-column …"),
        (
            "max_tokens=8: too short; raise max_tokens above 9",
            "--max-tokens 8: too short; raise --max-tokens above 9",
        ),
        ("text_column='a,b': give the two columns", "--text-column 'a,b': give the two columns"),
        ("pass model=… or max_texts=…", "pass --model … or --max-texts …"),
        ("the model is damaged; label_columns are fine", "the model is damaged; label_columns are fine"),
        ("dir/max_tokens.csv has no column 'max_tokens'", "dir/max_tokens.csv has no column 'max_tokens'"),
        (
            "f has no column 'x'; its columns are: max_tokens, label_column",
            "f has no column 'x'; its columns are: max_tokens, label_column",
        ),
        (
            "f has no column 'text'; its columns are: text_column, b",
            "f has no column 'text'; its columns are: text_column, b; choose one with --text-column",
        ),
        ("model='x': leave model out", "--model 'x': leave --model out"),
        ("drop_empty=True leaves them out", "--drop-empty leaves them out"),
    ],
)
def test_messages_name_flags(message: str, translated: str) -> None:
    flags = ("--overwrite", "--resume", "--label-column", "--max-tokens", "--text-column", "--model", "--max-texts",
             "--drop-empty")  # fmt: skip
    assert as_flags(message, [click.Option([flag]) for flag in flags]) == translated


def test_a_command_translates_what_the_library_raises_and_logs() -> None:
    from lastword.console import warn
    from lastword.errors import ExistingOutputError, LastwordError

    @click.command(cls=Command)
    @click.option("--overwrite", is_flag=True)
    def write(overwrite: bool) -> None:
        warn("overwrite=True would help")
        raise ExistingOutputError("x exists: pass overwrite=True")

    result = CliRunner().invoke(write, [])
    assert isinstance(result.exception, LastwordError)
    assert str(result.exception) == "x exists: pass --overwrite"
    assert result.stderr == "--overwrite would help\n"
