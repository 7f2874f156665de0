"""The list of mutants that may survive: each has a reason, and is about code that is still there."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LISTED = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text(encoding="utf-8"))["survivor"]


@pytest.fixture(scope="module")
def mutants() -> Any:
    """The script `tools/mutants.py`."""
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_survivors_are_explained_and_of_the_present_code(mutants: Any) -> None:
    files = [ROOT / path for path in mutants.modules().values()]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for survivor in LISTED:
        assert survivor.keys() == {"old", "new", "reason"}
        assert survivor["new"]
        assert survivor["old"] not in survivor["new"]
        assert len(survivor["reason"].split()) >= 4, survivor
        missing = [line for line in survivor["old"].splitlines() if line not in code]
        assert not missing, f"no such line any more: {missing}"


def test_every_module_has_tests(mutants: Any) -> None:
    files = {module: mutants.tests_of(module) for module in mutants.modules()}
    assert "lastword.training.losses" in files
    assert files["lastword.embedding.vocabulary"] == ["tests/explanation/test_nearest_words.py"], (
        "as pytest has it"
    )
    assert [(module, file) for module in files for file in files[module] if not (ROOT / file).is_file()] == []


@pytest.mark.slow
def test_every_module_is_on_record_and_no_mutant_is_open(mutants: Any) -> None:
    record = json.loads(mutants.RECORD.read_text(encoding="utf-8"))
    assert {module: entry["open"] for module, entry in record.items() if entry["open"]} == {}
    modules = mutants.modules()
    assert record.keys() - modules.keys() == set(), "modules that are gone"
    for module in modules.keys() - record.keys():
        code = (ROOT / modules[module]).read_text(encoding="utf-8")
        assert mutants.mutate_file_contents(module, code).mutant_names == [], module


def test_the_mutants_of_a_function(mutants: Any) -> None:
    """What a mutant changes is shown without the names that mutmut gives it."""
    mutated = mutants.mutate_file_contents("some.py", "def add(a, b):\n    total = a + b\n    return total\n")
    changes = mutants.changes_of("some", mutated)
    assert changes["some.x_add__mutmut_1"] == ("total = a + b", "total = None")
    assert changes["some.x_add__mutmut_2"] == ("total = a + b", "total = a - b")


def test_a_listed_change_is_of_whole_lines_or_of_a_part_of_them(mutants: Any) -> None:
    changes = {
        "part": ('read(encoding="utf-8")', 'read(encoding="UTF-8")'),
        "second part": ('read("utf-8", "utf-8")', 'read("utf-8", "UTF-8")'),
        "lines": ("sparse = range(1000, steps + 1, 500)", "sparse = range(1000, steps + 2, 500)"),
        "other": ('read(encoding="utf-8")', 'write(encoding="UTF-8")'),
    }
    assert mutants.unexplained_of(dict.fromkeys(changes, "survived"), changes) == ["other"]
    assert mutants.unexplained_of(dict.fromkeys(changes, "killed"), changes) == []


def test_the_record_keeps_what_is_open(mutants: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant that is tried again by name leaves the list once a test fails for it."""
    monkeypatch.setattr(mutants, "RECORD", tmp_path / "record.json")
    changes = {f"some.x_add__mutmut_{number}": ("a + b", f"a + {number}") for number in (1, 2, 3, 13)}
    first, second = "some.x_add__mutmut_3", "some.x_add__mutmut_13"
    mutants.record_results({first: "survived"}, changes)
    assert json.loads((tmp_path / "record.json").read_text()) == {}, "a part of the sample"
    for results, killed, still_open in (
        ({first: "no test", second: "survived"}, 0, [first, second]),
        ({second: "timed out"}, 1, [first]),
        ({second: "killed"}, 1, [first]),
        ({first: "killed"}, 2, []),
    ):
        mutants.record_results(results, changes)
        entry = json.loads((tmp_path / "record.json").read_text())["some"]
        assert (entry["mutants"], entry["tried"], entry["killed"], entry["listed"]) == (4, 2, killed, 0)
        assert entry["open"] == still_open
