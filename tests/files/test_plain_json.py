"""No NaN and no infinity in JSON: null in their place, wherever JSON is written or printed."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lastword
from lastword.cli.command import print_result
from lastword.errors import RequestError
from lastword.files.plain_json import json_text
from lastword.files.run_folder import require_writable, write_json
from lastword.pairs.record import write_table

VALUES = {
    "a": math.nan,
    "b": [math.inf, (1.5, -math.inf)],
    "c": {"d": np.float32("nan"), "e": np.int64(3)},
    "f": "ä",
}
PLAIN = {"a": None, "b": [None, [1.5, None]], "c": {"d": None, "e": 3}, "f": "ä"}
MODULES = {
    "config.py", "embedding/backbone.py", "embedding/folder.py", "embedding/spec.py", "embedding/template.py",
    "embedding/tokenizer.py", "embedding/weights.py", "evaluation/benchmark/finished.py", "exporting/gguf.py",
    "files/plain_json.py", "files/run_folder.py", "files/typed.py", "paper/defects.py", "paper/run.py",
    "training/run.py",
}  # fmt: skip
"""Modules that write JSON for a hash, as a copy, or as a file format of other libraries."""


@dataclass
class Result:
    def to_dict(self) -> dict[str, Any]:
        return VALUES


def test_numbers_that_are_not_finite_become_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(json_text(VALUES)) == PLAIN
    write_json(tmp_path / "file.json", VALUES)
    assert json.loads((tmp_path / "file.json").read_text()) == PLAIN
    print_result(Result(), as_json=True)
    assert capsys.readouterr().out == json_text(PLAIN) + "\n"


def test_a_name_that_is_not_utf8_comes_back(tmp_path: Path, refused: Callable[..., str]) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    write_json(tmp_path / "file.json", {"file": name})
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == {"file": name}
    message = refused(RequestError, require_writable, tmp_path / name)
    assert message.endswith(
        "this name is not UTF-8, or the locale is not; choose another name, or set PYTHONUTF8=1"
    )


def test_a_table_with_nan_is_written_as_json_lines(tmp_path: Path) -> None:
    table = pa.table({"anchor": ["a", "b"], "score": [0.5, math.nan]})
    write_table(table, tmp_path / "out.jsonl")
    assert (
        tmp_path / "out.jsonl"
    ).read_text() == '{"anchor": "a", "score": 0.5}\n{"anchor": "b", "score": null}\n'


def test_nothing_else_writes_json() -> None:
    source = Path(lastword.__file__).parent
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"json\.dumps?\(", path.read_text())
    }
    assert files <= MODULES, "use lastword.files.plain_json.json_text"
