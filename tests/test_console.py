"""Bars on a terminal that is one: a command in a pseudo-terminal, and what it prints there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import time
from lastword import console

console._SHOW_AFTER_S = 0.05
console.show_messages()
with console.progress("pairs by generate", 512, step=256) as advance:
    for _ in range(2):
        with console.progress("answers", 256) as inner:
            for _ in range(4):
                time.sleep(0.15)
                inner(64)
        advance(256)
"""


def on_terminal(script: str, folder: Path) -> str:
    """What a script prints where stderr is a terminal."""
    (folder / "script.py").write_text(script)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(folder / "script.py")],
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return said.decode(errors="replace")


def test_work_inside_work_says_how_far_it_is(tmp_path: Path) -> None:
    said = on_terminal(SCRIPT, tmp_path)
    assert "pairs by generate" in said
    assert "128 of 256 answers" in said
    assert "128/512" in said, "work inside a step did not move the bar"
    assert "256/512" in said
    assert said.count("pairs by generate") > 3, "the bar stood still"


def test_nothing_is_drawn_away_from_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
