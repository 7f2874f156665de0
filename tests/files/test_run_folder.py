"""Unfinished work is in OUTPUT.partial, resumes with the same settings, and one run at a time writes it."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastword
from lastword.adaptation.result import RESULT as ADAPTED
from lastword.bundled import path_of
from lastword.corpus.cluster import CLUSTERS
from lastword.embedding.spec import LASTWORD_JSON
from lastword.encoders.stored import MANIFEST
from lastword.errors import ExistingOutputError, NothingToResumeError, RequestError
from lastword.experiments import compare_pairs
from lastword.files.locks import FileLock
from lastword.files.run_folder import RunFolder, fingerprint, replace, require_outside
from lastword.pairs import Noise
from lastword.pairs.mining import mine_negatives
from lastword.paper.folder import REPORT
from lastword.parity.requests import PARITY
from lastword.probing.result import FILE as PROBE

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


@pytest.mark.parametrize("error", [RequestError, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("evidence", ["", "*.json", "part-*.json"])
def test_a_failed_run_leaves_only_what_can_be_resumed(
    tmp_path: Path, error: type[BaseException], evidence: str
) -> None:
    run = RunFolder(tmp_path / "out", evidence=evidence)

    def fail() -> None:
        with run.open({}) as folder:
            (folder / "half").write_text("")
            raise error

    with pytest.raises(error):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == (["out.partial"] if evidence == "*.json" else [])


def test_a_run_that_fails_before_any_work_leaves_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "out", "survey")

    def fail() -> None:
        with run.open({"seed": 1}, {"a.csv": "1:a"}):
            raise RequestError("no such model")

    with pytest.raises(RequestError, match="no such model"):
        fail()
    assert list(tmp_path.iterdir()) == []
    run.partial.mkdir()
    for name in ("settings.json", "inputs.json"):  # of a run that was killed there
        (run.partial / name).write_text("{}")
    opened(run, {"seed": 2})


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


def test_a_changed_input_is_named(tmp_path: Path, refused: Refused) -> None:
    run = RunFolder(tmp_path / "out", "survey", resume=True)
    with run.open({"seed": 1}, {"a.csv": "1:a", "b.csv": "1:b"}):
        run.once("step", lambda: 0)
    with run.open({"seed": 1}, {"b.csv": "1:b"}):
        pass
    advice = "restore its inputs, or pass overwrite=True to start over"
    for inputs, change in (
        ({"a.csv": "1:a", "b.csv": "1:c"}, "b.csv has changed since the"),
        ({"c.csv": "1:a"}, "c.csv is no input of the"),
    ):
        message = f"resume=True: {change} interrupted survey; {advice}"
        assert refused(RequestError, run.require, {"seed": 1}, inputs) == message
    RunFolder(run.output, overwrite=True).require({"seed": 2}, {"c.csv": ""})


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


def test_a_folder_of_other_files_is_never_replaced(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "out"
    (out / "photos").mkdir(parents=True)
    run = RunFolder(out, overwrite=True)
    advice = "choose another path, or delete it first"
    message = f"{out} has files that lastword did not write, and is not replaced: {advice}"
    assert refused(ExistingOutputError, run.check) == message
    assert refused(ExistingOutputError, opened, run, {}) == message
    embedder = lastword.Embedder.from_pretrained("mini")
    assert refused(ExistingOutputError, embedder.save, out, overwrite=True) == message
    assert [path.name for path in out.iterdir()] == ["photos"]
    (out / "clusters.json").mkdir()  # no file
    assert refused(ExistingOutputError, run.check) == message
    for name in (CLUSTERS, MANIFEST, ADAPTED, REPORT, PARITY, PROBE, LASTWORD_JSON):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("{}")
        RunFolder(tmp_path / name, overwrite=True).check()


def test_a_finished_output_has_nothing_to_resume(tmp_path: Path, refused: Refused) -> None:
    """Unless a run that was to replace it was interrupted."""
    run = RunFolder(tmp_path / "out", "survey", resume=True)
    (tmp_path / "out").mkdir()
    message = refused(NothingToResumeError, run.check)
    assert message == (
        f"nothing to resume: {run.output} exists, and no survey of it was interrupted; pass overwrite=True to "
        "start over"
    )
    assert NothingToResumeError.exit_code == 0
    interrupted_again = RunFolder(run.output, "survey", overwrite=True)
    opened(interrupted_again, {"seed": 1})
    assert refused(ExistingOutputError, run.check) == (
        f"{run.output} exists, and {run.partial} has unfinished work: add overwrite=True to finish it and replace the "
        "output, or choose another path"
    )
    RunFolder(run.output, resume=True, overwrite=True).check()
    RunFolder(run.output, resume=True, update=True).check()


def test_one_run_at_a_time_writes_an_output(tmp_path: Path, refused: Refused) -> None:
    run = RunFolder(tmp_path / "out")
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    message = f"{run.output} is being written by {holder}: wait until it ends or choose another path"
    with run.open({"seed": 1}):
        for second in (run, RunFolder(run.output, resume=True), RunFolder(run.output, overwrite=True)):
            assert refused(ExistingOutputError, second.check) == message
            assert refused(ExistingOutputError, opened, second, {"seed": 1}) == message
        assert FileLock(run.partial).path.exists(), "a refused run deleted the lock of the first"
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


def test_without_file_locks_a_run_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    opened(RunFolder(tmp_path / "out"), {})
    assert f"no locks on this file system: let no other process write {tmp_path / 'out'}" in caplog.text


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that takes no new files, whatever the permissions say (tests may run as root)."""
    folder, make = tmp_path / "read-only", tempfile.TemporaryFile
    folder.mkdir()

    def refusing(dir: Path) -> Any:
        if dir == folder:
            raise OSError(errno.EROFS, "Read-only file system", str(folder / "tmp"))
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    return folder


def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, read_only: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    cases = {
        tmp_path / "file" / "out": f"{tmp_path / 'file'} takes no new files (Not a directory)",
        tmp_path / "file" / "a" / "out": f"{tmp_path / 'file'} takes no new files (Not a directory)",
        read_only / "out": f"{read_only} takes no new files (Read-only file system)",
        read_only / "a" / "out": f"{read_only} takes no new files (Read-only file system)",
        Path("/proc/out"): "/proc takes no new files (No such file or directory)",
        tmp_path / ("n" * 300) / "out": "File name too long",
        tmp_path / ("n" * 250): "a name in it has more than 234 bytes",
        tmp_path / ("n" * 250) / "out": "a name in it has more than 234 bytes",
        Path(): "the current folder is inside it",
        tmp_path / "here": "the current folder is inside it",
    }
    before = sorted(tmp_path.rglob("*"))
    for output, reason in cases.items():
        message = refused(RequestError, RunFolder(output, overwrite=True).check)
        assert message.startswith("cannot write "), output
        assert message.endswith(f": {reason}; choose another path"), output
        assert len(message) < 400
    RunFolder(tmp_path / ("n" * 230)).check()
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_made_for_a_lock_go_with_it(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "b" / "out").lock():
        pass
    assert not list(tmp_path.iterdir())


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
        lambda output: lastword.demo(output),
        lambda output: lastword.explain("topics", ["mini"], output=output),
        lambda output: lastword.probe("mini", "topics", output=output),
        lambda output: compare_pairs([], {}, output),
        lambda output: mine_negatives(path_of("pairs"), output.with_suffix(".csv")),
        lambda output: lastword.reproduce("table7", output),
        lambda output: lastword.make_pairs(Noise("anchor"), path_of("pairs"), output.with_suffix(".csv")),
    ],
    ids=["train", "sweep", "demo", "explain", "probe", "compare", "mine", "reproduce", "make_pairs"],
)
def test_every_verb_respects_the_lock(verb: Callable[[Path], Any], tmp_path: Path, refused: Refused) -> None:
    with RunFolder(tmp_path / "out").open({}), RunFolder(tmp_path / "out.csv").open({}):
        assert "is being written by process" in refused(ExistingOutputError, verb, tmp_path / "out")


IN, OUT = Path("work/texts.csv"), Path("work")
WRITERS: dict[str, Callable[[], object]] = {
    "embed": lambda: lastword.embed_corpus(IN, OUT, "mini", overwrite=True),
    "embed of a pattern": lambda: lastword.embed_corpus(["work/*.csv"], OUT, "mini", update=True),
    "cluster": lambda: lastword.cluster_corpus(IN, OUT, "mini", overwrite=True),
    "adapt": lambda: lastword.adapt_corpus(IN, OUT, "mini", overwrite=True),
    "train": lambda: lastword.train(OUT, pairs=["pairs", str(IN)], trackers="none", overwrite=True),
    "distill": lambda: lastword.distill("mini", IN, OUT, overwrite=True),
    "whiten": lambda: lastword.whiten("mini", IN, OUT, overwrite=True),
    "export": lambda: lastword.export("work/model", OUT, to="folder", overwrite=True),
    "merge": lambda: lastword.merge(["work/model", "work/model"], OUT, overwrite=True),
    "probe": lambda: lastword.probe("mini", IN, output=OUT, overwrite=True),
    "explain": lambda: lastword.explain(IN, "mini", output=OUT, overwrite=True),
    "sweep": lambda: lastword.sweep("work/recipe.toml", OUT, values={"rank": [4, 8]}, overwrite=True),
    "reproduce": lambda: lastword.reproduce(["table4"], OUT, data_dir="work/model", overwrite=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_with_an_input_inside_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """Replacing the output would delete the input; before anything is loaded or written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work" / "model").mkdir(parents=True)
    IN.write_text("text,anchor,positive\n" + "".join(f"text {row},a,b\n" for row in range(400)))
    Path("work/recipe.toml").write_text('model = "mini"\n')
    for file in ("config.json", "lastword.json"):
        Path("work/model", file).write_text('{"base": "mini", "recipe": {"steps": 1}}')
    before = sorted(tmp_path.rglob("*"))
    assert "is inside the output work, which it would replace" in refused(RequestError, WRITERS[name])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "verb",
    [
        lambda: lastword.embed_corpus(Path("a.csv"), "a.csv", "mini", overwrite=True),
        lambda: lastword.embed_corpus(Path("a.csv"), "link.csv", "mini", overwrite=True),
        lambda: lastword.cluster_corpus(Path("a.csv"), "a.csv", "mini", overwrite=True),
        lambda: lastword.distill("mini", "a.csv", "a.csv", overwrite=True),
        lambda: lastword.probe("mini", "a.csv", output="a.csv", overwrite=True),
        lambda: lastword.make_pairs(Noise("text"), "a.csv", "a.csv", overwrite=True),
        lambda: lastword.merge(["model", "model"], "model", overwrite=True),
        lambda: lastword.export("model", "model", overwrite=True),
        lambda: lastword.whiten("model", "a.csv", "model", overwrite=True),
        lambda: lastword.train("model", model="model", pairs=["pairs"], trackers="none", overwrite=True),
    ],
)
def test_an_output_that_is_an_input_is_refused(
    verb: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("text\n" + "".join(f"text {row}\n" for row in range(400)))
    Path("link.csv").symlink_to("a.csv")
    Path("model").mkdir()
    for file in ("config.json", "lastword.json"):
        Path("model", file).write_text('{"base": "mini", "recipe": {"steps": 1}}')
    before = sorted(tmp_path.rglob("*"))
    assert "is an input, and the output would replace it: choose another output" in refused(
        RequestError, verb
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_column_named_as_the_output_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("group").mkdir()
    require_outside(Path("group"), "group", [Path("a.csv")])
