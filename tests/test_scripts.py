"""Scripts outside the package: a change inside it must not break the commands that measure its results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "tools/bundle", "tools/docs", "tools/pretrain", "tools/results")


@pytest.mark.parametrize("folder", FOLDERS)
def test_scripts_find_what_they_import(folder: str) -> None:
    names = sorted(path.stem for path in (ROOT / folder).glob("*.py"))
    assert names
    code = f"import importlib\nfor name in {names}: importlib.import_module(name)"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), "."])),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
