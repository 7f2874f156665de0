"""Messages and progress: a command in a pseudo-terminal, the same without one, and with --quiet."""

from __future__ import annotations

import doctest
import os
import pty
import re
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest

from lastword import console

SCRIPT = """
import time
from lastword import console

console._BAR_AFTER_S, console._LINE_EVERY_S = 0.05, 0.25
console.show_messages(quiet={quiet})
with console.progress("pairs by generate", 512, step=256) as advance:
    for _ in range(2):
        with console.progress("answers", 256) as inner:
            for _ in range(4):
                time.sleep(0.15)
                inner(64)
        console.info("half done")
        console.warn("check this")
        advance(256)
"""
STUCK = """
import time
from lastword import console

console._BAR_AFTER_S, console._LINE_EVERY_S = 0.05, 0.1
console.show_messages()
with console.progress("[k-means]", 2) as advance:
    time.sleep(0.5)
"""


def on_terminal(script: str, folder: Path) -> str:
    """What a script prints where stderr is a terminal."""
    (folder / "script.py").write_text(script)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(folder / "script.py")],
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "140"},
    )
    os.close(theirs)
    printed = b""
    try:
        while part := os.read(ours, 65536):
            printed += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return printed.decode(errors="replace")


def without_terminal(script: str, folder: Path) -> list[str]:
    """The lines a script logs where stderr is a pipe."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, str(folder / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_progress_inside_a_step_moves_the_bar(tmp_path: Path) -> None:
    printed = on_terminal(SCRIPT.format(quiet=False), tmp_path)
    assert "pairs by generate" in printed
    assert re.search(r"(64|128|192) of 256 answers", printed)
    # Which of them a loaded machine draws is chance.
    assert re.search(r"(64|128|192|320|384|448)/512", printed), "progress inside a step did not move the bar"
    assert printed.count("pairs by generate") > 3, "the bar did not move"
    assert "about 1 s left" in printed
    assert "half done\r\n" in printed, "a message is a line of its own above the bar"


def test_without_a_terminal_there_is_a_line_every_while(tmp_path: Path) -> None:
    lines = without_terminal(SCRIPT.format(quiet=False), tmp_path)
    progress = [line for line in lines if line.startswith("pairs by generate: ")]
    assert 2 <= len(progress) <= 5, lines
    assert any(" of 512, about " in line and " left · " in line for line in progress), lines
    assert lines.count("half done") == lines.count("check this") == 2


@pytest.mark.parametrize("printed_by", [on_terminal, without_terminal])
def test_quiet_shows_warnings_only(printed_by: object, tmp_path: Path) -> None:
    printed = printed_by(SCRIPT.format(quiet=True), tmp_path)  # type: ignore[operator]
    lines = printed.splitlines() if isinstance(printed, str) else printed
    assert lines == ["check this"] * 2


@pytest.mark.parametrize("printed_by", [on_terminal, without_terminal])
def test_work_that_reports_nothing_is_shown_too(printed_by: object, tmp_path: Path) -> None:
    printed = printed_by(STUCK, tmp_path)  # type: ignore[operator]
    text = printed if isinstance(printed, str) else "\n".join(printed)
    assert "[k-means]" in text
    assert "time left not known yet" in text


def completed(monkeypatch: pytest.MonkeyPatch, shards: int, windows: int, declared: bool) -> list[float]:
    """How far work of 100 texts is, seen from inside: shards, in them windows, in them batches of five texts."""
    monkeypatch.setattr(console, "_BAR_AFTER_S", -1)
    monkeypatch.setattr(console, "_progress_shown", True)
    seen, shard, window = [], 100 // shards, 100 // shards // windows
    with console.progress("embedding", 100, step=shard) as finished:
        for _ in range(shards):
            with console.progress("embedding", shard, step=window) if declared else nullcontext() as shown:
                for _ in range(windows):
                    with console.progress("embedding", window) as batch:
                        for _ in range(window // 5):
                            batch(5)
                            assert console._running
                            seen.append(console._running.completed)
                    if shown:
                        shown(window)
            finished(shard)
    return seen


@pytest.mark.parametrize(("shards", "windows"), [(1, 1), (1, 5), (4, 1), (2, 2)])
def test_progress_at_three_depths_is_exact(
    shards: int, windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completed(monkeypatch, shards, windows, declared=True) == pytest.approx([*range(5, 101, 5)])


def test_progress_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = completed(monkeypatch, 2, 2, declared=False)
    assert seen == sorted(seen)


def test_what_an_interrupted_run_has_done_does_not_shorten_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven of ten are known; the eighth takes a minute, so the last two take two."""
    clock = [100.0]
    monkeypatch.setattr("lastword.console.time.monotonic", lambda: clock[0])
    work = console._Work("training runs", 10, 1, done=7)
    assert work.time_left == "time left not known yet"
    work.advance(1)
    clock[0] += 60
    assert (work.completed, work.time_left) == (8, "about 2 min 00 s left")


def test_work_of_unknown_size_has_no_time_left() -> None:
    """Not "500 of 0, about 0 s left"."""
    work = console._Work("embedding", 0, 1000, done=0)
    work.advance(500)
    assert (work.completed, work.time_left) == (500, "time left not known yet")
    finished = threading.Event()
    with mock.patch.multiple(
        console, _LINE_EVERY_S=0, info=mock.Mock(side_effect=lambda line: finished.set())
    ):
        console._log_lines(work, finished)
        console.info.assert_called_once_with("embedding: 500, time left not known yet")  # type: ignore[attr-defined]


def test_paths_are_renamed_from_the_inside_out(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level("WARNING", "lastword"),
        console.renamed("out.partial/groups", "out/groups"),
        console.renamed("out.partial/groups.partial/vectors", "out.partial/groups/vectors"),
    ):
        console.warn("out.partial/groups.partial/vectors: 3 rows")
    console.warn("out.partial/groups: kept")
    assert caplog.messages == ["out/groups/vectors: 3 rows", "out.partial/groups: kept"]


def test_a_library_call_shows_no_progress(tmp_path: Path) -> None:
    assert without_terminal(STUCK.replace("console.show_messages()", ""), tmp_path) == []


def test_docstring_example() -> None:
    assert doctest.testmod(console) == (0, 1)
