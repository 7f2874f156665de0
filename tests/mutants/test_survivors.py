"""The list of mutants that may survive: each has a reason, and is about code that is still there."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTED = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text(encoding="utf-8"))["survivor"]


def test_survivors_are_explained_and_of_the_present_code() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    files = [
        path for pattern in settings["only_mutate"] for path in ROOT.glob(pattern) if path.suffix == ".py"
    ]
    files += [path for pattern in settings["only_mutate"] for path in ROOT.glob(f"{pattern}/**/*.py")]
    lines = {line.strip() for path in files for line in path.read_text(encoding="utf-8").splitlines()}
    for survivor in LISTED:
        assert survivor.keys() == {"old", "new", "reason"}
        assert survivor["new"]
        assert survivor["old"] not in survivor["new"]
        assert len(survivor["reason"].split()) >= 4, survivor
        missing = [line for line in survivor["old"].splitlines() if line not in lines]
        assert not missing, f"no such line any more: {missing}"
