"""The public names, and that asking for them or for help costs nothing."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lastword
from lastword.cli.main import COMMANDS
from tests.cli.test_help import ALL

HEAVY = ("torch", "transformers", "sentence_transformers", "mteb", "sklearn", "pyarrow", "rich")


def run(code: str) -> str:
    """Run Python in a process of its own and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(code: str) -> list[str]:
    """Heavy packages that are loaded once the code has run."""
    return run(f"import sys\n{code}\nprint(*[name for name in {HEAVY} if name in sys.modules])").split()


def test_every_public_name_can_be_imported() -> None:
    for name in lastword.__all__:
        assert getattr(lastword, name) is not None
    assert dir(lastword) == sorted(lastword.__all__)


def test_names_homes_and_type_checking_imports_are_the_same() -> None:
    tree = ast.parse(Path(lastword.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}

    assert homes == lastword._HOME
    assert {*homes, "__version__"} == set(lastword.__all__)
    assert len(set(lastword.__all__)) == len(lastword.__all__)


def test_verbs_stay_functions_when_their_packages_are_imported() -> None:
    importlib.import_module("lastword.training.run")
    importlib.import_module("lastword.evaluation.local")

    assert inspect.isfunction(lastword.train)
    assert inspect.isfunction(lastword.evaluate)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'lastword' has no attribute 'trian'$"):
        lastword.trian  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import lastword; lastword.TrainConfig; lastword.LastwordError") == []
    assert loaded_after("import lastword, pyarrow") == ["pyarrow"]  # the check sees what there is to see


def test_help_loads_nothing_heavy() -> None:
    """Of every command, in one process."""
    asked = [["--version"], *([*path.split()[1:], "--help"] for path in ALL)]
    code = f"""
import contextlib, io, json, sys
from lastword.cli import main
for arguments in {asked}:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try: main(arguments, prog_name="lastword")
        except SystemExit as stop: assert not stop.code, arguments
    loaded = [name for name in {HEAVY} if name in sys.modules]
    print(json.dumps([arguments, printed.getvalue()[:6], loaded]))
"""
    assert [json.loads(line) for line in run(code).splitlines()] == [
        [arguments, "Usage:" if "--help" in arguments else "lastwo", []] for arguments in asked
    ]


def test_the_installed_command_prints_its_help() -> None:
    command = Path(sys.executable).with_name("lastword")
    if not command.is_file():
        pytest.skip(f"lastword is not installed beside {sys.executable}")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)

    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []
