"""Scripts outside the package: a change inside it must not break the commands that measure its results."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from tests.processes import run

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "tools/bundle", "tools/docs", "tools/pretrain", "tools/results")


@pytest.mark.parametrize("folder", FOLDERS)
def test_scripts_find_what_they_import(folder: str) -> None:
    names = sorted(path.stem for path in (ROOT / folder).glob("*.py"))
    assert names
    run(import_all, ROOT / folder, names)


def import_all(folder: Path, names: list[str]) -> None:
    os.chdir(folder)
    sys.path.insert(0, ".")
    for name in names:
        importlib.import_module(name)
