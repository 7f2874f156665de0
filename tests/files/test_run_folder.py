"""Unfinished work is in OUTPUT.partial, resumes with the same settings, and one run at a time writes it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastword
from lastword.bundled import path_of
from lastword.errors import ExistingOutputError, RequestError
from lastword.files.locks import FileLock
from lastword.files.run_folder import RunFolder, fingerprint, replace
from lastword.pairs import Noise

Refused = Callable[..., str]


def interrupted(output: Path) -> RunFolder:
    run = RunFolder(output, "survey")
    with run.open({"seed": 1}):
        run.once("step", lambda: {"score": 0.5})
    return run


def opened(run: RunFolder, settings: dict[str, int]) -> None:
    with run.open(settings):
        pass


def test_a_finished_run_leaves_only_the_output(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "out", "survey")
    with run.open({"seed": 1}) as folder:
        run.once("step", lambda: {"score": 0.5})
        assert not run.output.exists()
        run.finish(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert json.loads((run.output / "step.json").read_text()) == {"score": 0.5}


def test_a_step_runs_once_and_is_read_afterwards(tmp_path: Path) -> None:
    run = RunFolder(interrupted(tmp_path / "out").output, "survey", resume=True)
    with run.open({"seed": 1}):
        assert run.once("step", lambda: pytest.fail("its result is stored")) == {"score": 0.5}


def test_an_interrupted_run_is_neither_lost_nor_mixed(tmp_path: Path, refused: Refused) -> None:
    run = interrupted(tmp_path / "out")
    assert refused(ExistingOutputError, opened, RunFolder(run.output, "survey"), {"seed": 1}) == (
        f"{run.partial} has an interrupted survey: pass resume=True to continue it or overwrite=True to start over"
    )
    assert refused(RequestError, opened, RunFolder(run.output, "survey", resume=True), {"seed": 2}) == (
        "resume=True: seed was 1 and is now 2; use the settings of the interrupted survey, or pass overwrite=True "
        "to start over"
    )
    opened(RunFolder(run.output, "survey", overwrite=True), {"seed": 2})
    assert sorted(path.name for path in run.partial.iterdir()) == ["inputs.json", "settings.json"]


def test_without_evidence_of_work_a_run_starts_over(tmp_path: Path) -> None:
    for seed, evidence in ((1, "settings.json"), (2, "part-*.json"), (3, "")):
        run = RunFolder(tmp_path / "out", evidence=evidence)
        opened(run, {"seed": seed})
        assert json.loads((run.partial / "settings.json").read_text()) == {"seed": seed}


def test_an_output_is_replaced_only_with_overwrite(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out").mkdir()
    assert refused(ExistingOutputError, RunFolder(tmp_path / "out").check) == (
        f"{tmp_path / 'out'} exists: choose another path or pass overwrite=True"
    )
    run = RunFolder(tmp_path / "out", overwrite=True)
    with run.open({}) as folder:
        run.finish(folder)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["inputs.json", "settings.json"]


def test_one_run_at_a_time_writes_an_output(tmp_path: Path, refused: Refused) -> None:
    run = RunFolder(tmp_path / "out")
    message = f"{run.output} is being written by process {os.getpid()} on {socket.gethostname()}: wait until it ends or choose another path"
    with run.open({"seed": 1}):
        for second in (run, RunFolder(run.output, resume=True), RunFolder(run.output, overwrite=True)):
            assert refused(ExistingOutputError, second.check) == message
            assert refused(ExistingOutputError, opened, second, {"seed": 1}) == message
    with pytest.raises(KeyError), RunFolder(run.output, resume=True).open({"seed": 1}):
        raise KeyError  # an error frees the lock too
    opened(RunFolder(run.output, resume=True), {"seed": 1})


def test_a_killed_process_frees_its_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from lastword.files.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).open({}): print('open', flush=True); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.DEVNULL)
    assert FileLock(tmp_path / "out.partial").path.exists()
    assert FileLock(tmp_path / "out.partial").holder() == ""
    run = RunFolder(tmp_path / "out", resume=True)
    with run.open({}) as folder:
        run.finish(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_deleted_lock_file_gives_no_second_lock(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "file") for _ in range(3))
    assert first.try_exclusive()
    second._descriptor = os.open(second.path, os.O_RDWR)  # opened before the first deletes it
    first.release(remove=True)
    assert second.try_exclusive()
    assert not third.try_exclusive(), "two processes have the same lock"


def test_the_fingerprint_follows_every_byte(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    content = bytearray(b"a" * (3 << 20))
    file.write_bytes(content)
    before = fingerprint(file)
    content[-1] = ord("b")
    file.write_bytes(content)
    assert fingerprint(file) != before
    assert fingerprint(tmp_path / "none") == str(tmp_path / "none")


def test_the_old_output_stays_where_a_rename_fails(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "missing", tmp_path / "old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "old")]


@pytest.mark.parametrize(
    "verb",
    [
        lambda output: lastword.train(output, pairs=["pairs"]),
        lambda output: lastword.sweep("mini", output, values={"rank": [4, 8]}),
        lambda output: lastword.reproduce("table7", output),
        lambda output: lastword.make_pairs(Noise("anchor"), path_of("pairs"), output.with_suffix(".csv")),
    ],
    ids=["train", "sweep", "reproduce", "make_pairs"],
)
def test_every_verb_respects_the_lock(verb: Callable[[Path], Any], tmp_path: Path, refused: Refused) -> None:
    with RunFolder(tmp_path / "out").open({}), RunFolder(tmp_path / "out.csv").open({}):
        assert "is being written by process" in refused(ExistingOutputError, verb, tmp_path / "out")
