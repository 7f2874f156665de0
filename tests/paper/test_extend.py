"""A finished report is extended by tables and layers: nothing is measured twice, and nothing of it is lost."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from lastword.cli import main
from lastword.errors import ExistingOutputError, NothingToResumeError, RequestError
from lastword.paper import cells as cells_module
from lastword.paper import measure as measure_module
from lastword.paper import suites as suites_module
from lastword.paper.run import reproduce
from tests import processes

Scored = dict[str, np.ndarray]


@pytest.fixture
def ask(llama_folder: Path) -> dict[str, Any]:
    return {"models": [str(llama_folder)], "device": "cpu", "dtype": "float32"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def facts(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "reproduction.json").read_text(encoding="utf-8"))
    return report


def test_the_report_is_that_of_one_run(tmp_path: Path, ask: dict[str, Any], scored: Scored) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    reproduce(["table3", "table4", "layers", "table5"], whole, layers=[2, 1], **ask)
    measured = set(scored)
    scored.clear()
    for tables, layers in (("table4", []), ("layers", [1]), (["table5", "table3"], []), ("layers", [2])):
        result = reproduce(tables, parts, layers=layers, resume=parts.exists(), **ask)
        assert scored
        assert set(scored) <= measured, "something is measured twice"
        measured -= set(scored)
        scored.clear()
    assert not measured
    assert (parts / "report.md").read_text() == (whole / "report.md").read_text()
    assert (parts / "cells.csv").read_text() == (whole / "cells.csv").read_text()
    one, other = facts(whole), facts(parts)
    assert other == json.loads(json.dumps(result.to_dict()))
    runs = other["manifest"].pop("runs")
    assert [run["tables"] for run in runs] == [["table4"], ["layers"], ["table5", "table3"], ["layers"]]
    assert one["manifest"].pop("runs")[0]["versions"] == runs[-1]["versions"]
    assert one["manifest"]["settings"].pop("tables") != other["manifest"]["settings"].pop("tables")
    assert one["manifest"] == other["manifest"]
    values, others = (
        {name: step["topics"]["value"] for name, step in report["measured"].items()}
        for report in (one, other)
    )
    assert values == pytest.approx(others), "other passes round otherwise"
    assert not parts.with_name("parts.partial").exists()


def test_a_report_that_has_everything_is_left_alone(
    tmp_path: Path, ask: dict[str, Any], scored: Scored, refused: Any
) -> None:
    output = tmp_path / "out"
    reproduce(["table3", "layers"], output, layers=[1], **ask)
    before = content(output)
    message = f"nothing to resume: {output} has table3; name tables or layers that it lacks"
    assert refused(NothingToResumeError, reproduce, "table3", output, resume=True, **ask) == message
    with pytest.raises(NothingToResumeError):
        reproduce(["table3", "layers"], output, layers="1", resume=True, **ask)
    command = ["reproduce", "table3", "--model", ask["models"][0], "--output", str(output), "--resume"]
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, done.stderr.strip()) == (0, f"lastword: {message}")
    with pytest.raises(ExistingOutputError, match="out exists: choose another path or pass overwrite=True"):
        reproduce("table4", output, **ask)
    assert content(output) == before


def test_an_interrupted_extension_leaves_the_report_and_is_resumed(
    tmp_path: Path, ask: dict[str, Any], scored: Scored, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    reproduce("table3", output, **ask)
    before, score = content(output), suites_module.Suite.score

    def failing(self: Any, model: Any, results: Path) -> Any:
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(self, model, results)

    scored.clear()
    with monkeypatch.context() as patch:
        patch.setattr(suites_module.Suite, "score", failing)
        with pytest.raises(KeyboardInterrupt):
            reproduce("table4", output, resume=True, **ask)
    assert content(output) == before
    with pytest.raises(ExistingOutputError):
        reproduce("table4", output, **ask)
    with monkeypatch.context() as patch:  # now after all cells
        patch.setattr(measure_module, "report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reproduce("table4", output, resume=True, **ask)
    assert content(output) == before
    assert len(scored) == 12, "each cell of Table 4 that Table 3 does not have, once"
    result = reproduce(["table5", "table4"], output, resume=True, **ask)
    assert [page.name for page in result.pages] == ["table3", "table4", "table5"]
    assert len(scored) == 12
    assert not partial.exists()


def test_unfinished_work_that_did_not_begin_with_the_report_is_not_mixed_with_it(
    tmp_path: Path, ask: dict[str, Any], scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    reproduce("table3", output, **ask)
    with monkeypatch.context() as patch:
        patch.setattr(measure_module, "report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reproduce("table5", output, overwrite=True, **ask)
    with pytest.raises(
        ExistingOutputError, match=r"out.partial has unfinished work: add overwrite=True to finish"
    ):
        reproduce("table5", output, resume=True, **ask)
    result = reproduce("table5", output, resume=True, overwrite=True, **ask)
    assert [page.name for page in result.pages] == ["table5"]


def test_an_extension_that_fails_before_it_has_begun_leaves_nothing(
    tmp_path: Path, ask: dict[str, Any], scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    reproduce("table3", output, **ask)
    monkeypatch.setattr(measure_module, "log_forecast", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        reproduce("table4", output, resume=True, **ask)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_differs_is_named(
    tmp_path: Path, ask: dict[str, Any], scored: Scored, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    reproduce("table3", "out", **ask)
    changes: dict[str, dict[str, Any]] = {
        "seeds was 3 and is now 2": {"seeds": 2},
        "max_texts was 1000 and is now 7": {"max_texts": 7},
        "settings, steps was None and is now 3": {"steps": 3},
        "settings, dtype was 'float32' and is now 'bfloat16'": {"dtype": "bfloat16"},
        "name was 'mini' and is now 'small'": {"scale": "small"},
        "peers was ['tfidf'] and is now []": {"peers": []},
        f"models, tiny-llama was {ask['models'][0]!r} and is now None": {"models": ["mini"]},
        "data_dir was None and is now 'data'": {"data_dir": "data"},
    }
    for message, change in changes.items():
        assert refused(RequestError, reproduce, "table4", "out", resume=True, **{**ask, **change}) == (
            f"resume=True: {message}; use the settings of the finished reproduction, or pass overwrite=True to start "
            "over"
        )
    assert not Path("out.partial").exists()


def test_the_precision_is_that_of_the_report(
    tmp_path: Path, ask: dict[str, Any], scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `dtype`, it does not follow the machine on which the report is extended."""
    output, request = tmp_path / "out", {**ask, "dtype": None}
    preferred = "lastword.embedding.device.preferred_dtype"
    import torch

    monkeypatch.setattr(preferred, lambda device: torch.bfloat16)
    reproduce("table3", output, **request)
    monkeypatch.setattr(preferred, lambda device: torch.float32)
    precisions = set()
    load = cells_module.Untrained.__init__

    def noted(self: Any, model: str, folder: Path, device: str | None, dtype: str | None = None) -> None:
        precisions.add(dtype)
        load(self, model, folder, device, dtype)

    monkeypatch.setattr(cells_module.Untrained, "__init__", noted)
    result = reproduce("table4", output, resume=True, **request)
    assert precisions == {"bfloat16"}
    assert result.manifest["settings"]["settings"] == {"dtype": "bfloat16"}


def test_changed_texts_are_refused_and_a_moved_folder_is_not(
    tmp_path: Path, ask: dict[str, Any], scored: Scored
) -> None:
    first, second = tmp_path / "a" / "data", tmp_path / "b" / "data"
    first.mkdir(parents=True)
    (first / "x.txt").write_text("x")
    reproduce("table3", tmp_path / "out", data_dir=first, **ask)
    assert str(tmp_path) not in (tmp_path / "out" / "reproduction.json").read_text().replace(
        ask["models"][0], ""
    )
    shutil.copytree(first, second)
    (second / "x.txt").write_text("y")
    with pytest.raises(
        RequestError, match="data has changed since the finished reproduction; restore its inputs"
    ):
        reproduce("table4", tmp_path / "out", data_dir=second, resume=True, **ask)
    (second / "x.txt").write_text("x")
    reproduce("table4", tmp_path / "out", data_dir=second, resume=True, **ask)


@pytest.mark.parametrize("text", ["{}", "[]", "not JSON", '{"pages": [], "scores": {}, "manifest": {}}'])
def test_a_report_without_its_steps_is_refused(text: str, tmp_path: Path, ask: dict[str, Any]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "reproduction.json").write_text(text)
    with pytest.raises(
        ExistingOutputError, match=r"cannot be extended: its reproduction\.json does not hold what was"
    ):
        reproduce("table4", tmp_path / "out", resume=True, **ask)


def test_table8_keeps_the_suite_that_it_was_measured_on(
    tmp_path: Path, llama_folder: Path, ask: dict[str, Any], scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = list[str]()

    def train(folder: Path, **_: Any) -> None:
        trained.append(folder.name)
        shutil.copytree(llama_folder, folder)

    monkeypatch.setattr(cells_module, "train", train)
    reproduce("table8", tmp_path / "out", seeds=1, **ask)
    assert len(trained) == 2
    (page,) = reproduce("table8", tmp_path / "alone", seeds=1, **ask).pages
    result = reproduce("table3", tmp_path / "out", seeds=1, resume=True, **ask)
    assert len(trained) == 4
    assert result.pages[1] == page


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["lastword.paper.suites.Suite.score", "lastword.paper.folder.ReportFolder.finish"]
)
def test_a_killed_extension_measures_nothing_twice(moment: str, tmp_path: Path) -> None:
    """At scale mini on the bundled texts, with real scores."""
    output = tmp_path / "out"
    ask: dict[str, Any] = {"max_texts": 40, "device": "cpu", "dtype": "float32"}
    reproduce("table3", output, **ask)
    before = content(output)
    kill = processes.before(moment, 2 if moment.endswith("score") else 1)
    process = processes.start(reproduce, "table4", output, resume=True, prepare=[kill], **ask)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert content(output) == before
    done = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "out.partial").glob("clustering-*.json")
    }
    assert len(done) == (1 if moment.endswith("score") else 12)
    scores = list[str]()
    score = suites_module.Suite.score

    def counted(self: Any, model: Any, results: Path) -> Any:
        scores.append(model.identity)
        return score(self, model, results)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suites_module.Suite, "score", counted)
        result = reproduce("table4", output, resume=True, **ask)
    assert len(scores) == 12 - len(done)
    earlier = json.loads(before["reproduction.json"])["measured"]
    assert {name: step for name, step in result.measured.items() if name in earlier} == earlier
    assert [page.name for page in result.pages] == ["table3", "table4"]
    assert len(result.measured) == len(earlier) + 12
