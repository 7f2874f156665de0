"""Making pairs: constant memory, the same output after any interruption, one run at a time."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lastword
from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import ExistingOutputError, MissingFileError, NoRowsError, RequestError, TableError
from lastword.files.sources import TableFile
from lastword.files.tables import Chunk
from lastword.pairs import Method, Neighbours, Noise, Pair, SameLabel, make_pairs
from tests.processes import after, after_calls, command, limit_files, run, run_killed, start

Refused = Callable[..., str]


def texts(count: int) -> list[str]:
    return [f"text number {i} says something about itself, {i * i} times over" for i in range(count)]


def write(path: Path, content: list[str]) -> Path:
    """One column `text`, in the format of the path's suffix."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"other": content, "text": content}), path)
    elif path.suffix in (".csv", ".tsv"):
        separator = "," if path.suffix == ".csv" else "\t"
        lines = [f'"{text}"{separator}1' for text in content]
        path.write_text("\n".join([f"text{separator}other", *lines]) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("".join(f'{{"text": "{text}", "n": 1}}\n' for text in content))
    else:
        path.write_text("\n".join(content) + "\n")
    return path


def noise_command(file: Path, output: Path, *options: str) -> list[object]:
    return ["pairs", "noise", file, "--output", output, *options]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_pairs_do_not_depend_on_the_size_of_chunks(suffix: str, tmp_path: Path) -> None:
    file = write(tmp_path / "texts.parquet", texts(50))
    outputs = [
        make_pairs(Noise(chunk=size), file, tmp_path / f"{size}{suffix}", seed=2).output
        for size in (1, 7, 1000)
    ]
    if suffix != ".parquet":  # its row groups follow the chunks
        assert outputs[0].read_bytes() == outputs[1].read_bytes() == outputs[2].read_bytes()
    else:
        assert pq.read_table(outputs[0]).equals(pq.read_table(outputs[1]))
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".txt"])
def test_pairs_do_not_depend_on_the_format(suffix: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"texts{suffix}", texts(20))
    rows = pq.read_table(make_pairs(Noise(chunk=8), file, tmp_path / "out.parquet").output).to_pylist()
    assert [row["anchor"] for row in rows] == texts(20)
    assert [row["source"] for row in rows] == [f"texts{suffix}:{row}" for row in range(20)]


class StopsError(Exception):
    """An interruption, as the code inside sees it."""


class Interrupted(Noise):
    """Noise that stops in the middle of a chunk."""

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Any]:
        for outcome in super().pairs(chunk, seed):
            if isinstance(outcome, Pair) and outcome.row == 23:
                raise StopsError
            yield outcome


def test_a_resumed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.csv", texts(60))
    whole = make_pairs(Noise(chunk=10), file, tmp_path / "whole.parquet", seed=1)
    with pytest.raises(StopsError):
        make_pairs(Interrupted(chunk=10), file, tmp_path / "out.parquet", seed=1)
    assert len(list((tmp_path / "out.parquet.partial").glob("part-*"))) == 2
    resumed = make_pairs(Noise(chunk=10), file, tmp_path / "out.parquet", seed=1, resume=True)
    assert resumed.output.read_bytes() == whole.output.read_bytes()
    assert (resumed.rows, resumed.pairs, resumed.rejected) == (whole.rows, whole.pairs, whole.rejected)


def test_other_settings_are_not_resumed(tmp_path: Path, refused: Refused) -> None:
    file, out = write(tmp_path / "texts.csv", texts(60)), tmp_path / "out.parquet"
    with pytest.raises(StopsError):
        make_pairs(Interrupted(chunk=10), file, out, seed=1)
    assert refused(ExistingOutputError, make_pairs, Noise(chunk=10), file, out, seed=1) == (
        f"{out}.partial has an interrupted run: pass resume=True to continue it or overwrite=True to start over"
    )
    assert refused(RequestError, make_pairs, Noise(chunk=10), file, out, seed=2, resume=True) == (
        "resume=True: seed was 1 and is now 2; use the settings of the interrupted run, or pass overwrite=True "
        "to start over"
    )
    assert refused(RequestError, make_pairs, Noise(chunk=11), file, out, seed=1, resume=True).startswith(
        "resume=True: chunk was 10 and is now 11; "
    ), "the parts of other chunks would have other rows"
    content = file.read_text()
    file.write_text(content.replace("number 59 says", "number 59 sais"))
    assert refused(RequestError, make_pairs, Noise(chunk=10), file, out, seed=1, resume=True).startswith(
        f"resume=True: {file} has changed since the interrupted run"
    ), "a file of the same size"
    file.write_text(content + "another text,1\n")
    assert make_pairs(Noise(chunk=10), file, out, seed=2, overwrite=True).pairs == 61


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path: Path, seed: int) -> None:
    """Real processes and kill -9, five times."""
    rng = random.Random(seed)
    file, out = write(tmp_path / "texts.jsonl", texts(2000)), tmp_path / "out.jsonl"
    settings = {"seed": 5, "resume": True}
    for _ in range(5):
        moment = after_calls(rng.randrange(100_000), "lastword.pairs.noising.Noise.pairs")
        run_killed(moment, make_pairs, Noise(chunk=100), file, out, **settings)
    assert list((tmp_path / "out.jsonl.partial").glob("part-*"))
    run(make_pairs, Noise(chunk=100), file, out, **settings)
    whole = make_pairs(Noise(chunk=100), file, tmp_path / "whole.jsonl", seed=5)
    assert out.read_bytes() == whole.output.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "texts.jsonl", "whole.jsonl"]


def test_a_second_run_of_one_output_is_refused(tmp_path: Path, refused: Refused) -> None:
    """The first one stops itself in the middle of its work."""
    file, out = write(tmp_path / "texts.txt", texts(300)), tmp_path / "out.jsonl"
    stop = after("lastword.files.chunk_run.write_part", 2, signal.SIGSTOP)
    first = start(make_pairs, Noise(chunk=100), file, out, prepare=[stop])
    while len(list((tmp_path / "out.jsonl.partial").glob("part-*.parquet"))) < 2:
        assert first.is_alive()
        time.sleep(0.01)
    holder = f"process {first.pid} on {socket.gethostname()}"
    message = f"{out} is being written by {holder}: wait until it ends or choose another path"
    for options in ({}, {"resume": True}, {"overwrite": True}):
        assert refused(ExistingOutputError, make_pairs, Noise(), file, out, **options) == message
    stderr = tmp_path / "stderr.txt"
    run(command, noise_command(file, out, "--resume"), stderr, code=2)
    assert stderr.read_text() == f"lastword: {message}\n"
    first.kill()
    first.join()
    file.write_text("another, shorter text\n")
    assert make_pairs(Noise(), file, out, overwrite=True).pairs == 1


def test_a_full_disk_keeps_what_was_done(tmp_path: Path) -> None:
    """A file size limit in place of the full disk: the parts fit, the joined file does not."""
    file, out = write(tmp_path / "texts.txt", texts(20_000)), tmp_path / "out.jsonl"
    stderr = tmp_path / "stderr.txt"
    run(command, noise_command(file, out), stderr, prepare=[partial(limit_files, 1 << 20)], code=1)
    assert stderr.read_text().splitlines()[-1].startswith("lastword: the disk is full (or a file ")
    assert not out.exists()
    assert list((tmp_path / "out.jsonl.partial").glob("part-*"))
    run(command, noise_command(file, out, "--resume"), stderr)
    assert "resuming after" in stderr.read_text()
    assert len(out.read_text().splitlines()) == 20_000


def test_rows_without_text(tmp_path: Path, refused: Refused) -> None:
    file, out = write(tmp_path / "texts.txt", [*texts(12), " ", "one more text"]), tmp_path / "out.csv"
    message = refused(TableError, make_pairs, Noise(chunk=5), file, out)
    assert message == (
        f"{file}: 1 of the first 14 rows have empty or non-text cells (empty in 'text'; rows 12, counted from 0); "
        "fix them or pass drop_empty=True"
    )
    result = make_pairs(Noise(chunk=5), file, out, drop_empty=True, resume=True)
    assert (result.rows, result.pairs, result.rejected) == (14, 13, {"empty or non-text cell": 1})
    assert result.to_dict() == {
        "output": str(out), "rows": 14, "pairs": 13, "rejected": {"empty or non-text cell": 1},
        "seconds": round(result.seconds, 2),
    }  # fmt: skip


@pytest.mark.parametrize("kind", [SameLabel, lambda file: Neighbours(file, TfidfEncoder())])
def test_methods_that_read_their_file_beforehand_make_pairs_of_no_other(
    kind: Callable[[object], Method], tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, out = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "out.csv"
    rows = [f"the {noun} was {state},{noun}" for noun in ("river", "boat") for state in ("low", "old", "new")]
    first.write_text("\n".join(["text,label", *rows]))
    second.write_text(first.read_text().replace("river", "q"))
    method = kind(first)
    assert refused(RequestError, make_pairs, method, second, out) == (
        f"the method {method.name!r} has read {first}, and cannot make pairs of {second}: give both the same file, "
        "encoding and delimiter"
    )
    assert refused(RequestError, make_pairs, method, TableFile(first, delimiter=";"), out).startswith(
        f"the method {method.name!r} has read {first}, and cannot make pairs of {first}: "
    )
    assert not list(tmp_path.glob("out*"))
    monkeypatch.chdir(tmp_path)
    assert make_pairs(method, "a.csv", out).rows == len(rows)


def test_bad_input_leaves_nothing_behind(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "out.parquet"
    missing = tmp_path / "none.csv"
    assert refused(MissingFileError, make_pairs, Noise(), missing, out) == (
        f"no file {missing}: give a .parquet, .arrow, .feather, .csv, .tsv, .jsonl, .json, .txt, .xlsx file "
        "that exists, or - for standard input"
    )
    file = write(tmp_path / "texts.csv", texts(3))
    assert refused(TableError, make_pairs, Noise("txt"), file, out) == (
        f"{file} has no column 'txt'; its columns are: text, other"
    )
    lines = write(tmp_path / "texts.jsonl", texts(3))
    lines.write_text('{"text": "a b c"}\n{"text": \n')
    assert refused(TableError, make_pairs, Noise(), lines, out).startswith(
        f"{lines} is not a readable .jsonl file: "
    )
    (tmp_path / "empty.csv").write_text("text\n")
    assert "has columns but no rows" in refused(NoRowsError, make_pairs, Noise(), tmp_path / "empty.csv", out)
    assert refused(RequestError, make_pairs, Noise(), file, tmp_path / "out.xlsx") == (
        f"output='{tmp_path / 'out.xlsx'}': write .parquet, .jsonl, .csv, not .xlsx"
    )
    short = write(tmp_path / "short.txt", ["a", "b"])
    assert refused(TableError, make_pairs, Noise(), short, out) == (
        f"{short}: its 2 rows gave no pair: too short to be changed (2)"
    )
    assert not list(tmp_path.glob("*.partial*"))
    make_pairs(Noise(), file, out)
    assert refused(ExistingOutputError, make_pairs, Noise(), file, out) == (
        f"{out} exists: choose another path or pass overwrite=True"
    )


@pytest.mark.slow  # of reading and of embedding it is tested by default
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Thirty times the rows take about the same memory, in processes of their own."""
    code = (
        "import sys; from lastword.pairs import Noise, make_pairs; make_pairs(Noise(), sys.argv[1], sys.argv[2]);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    peaks = []
    for count in (4_000, 120_000):
        file, out = write(tmp_path / f"{count}.txt", texts(count)), tmp_path / f"{count}.jsonl"
        done = subprocess.run(
            [sys.executable, "-c", code, str(file), str(out)], check=True, capture_output=True, text=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 40, peaks


@pytest.mark.parametrize("by_library", [False, True])
def test_a_data_set_is_read_as_it_arrives(tmp_path: Path, refused: Refused, by_library: bool) -> None:
    """A folder in place of a data set on the Hub; files of another kind are read by the library that reads the Hub."""
    (tmp_path / "set").mkdir()
    for split, rows in (("train", texts(30)), ("test", texts(5))):
        if by_library:
            lines = [json.dumps({"other": text, "text": text}) for text in rows]
            (tmp_path / "set" / f"{split}.ndjson").write_text("\n".join(lines))
        else:
            write(tmp_path / "set" / f"{split}.parquet", rows)
    name = f"hub:{tmp_path / 'set'}"
    pairs = make_pairs(Noise(chunk=7), name, tmp_path / "out.jsonl", seed=1)
    file = write(tmp_path / "texts.parquet", texts(30))
    same = make_pairs(Noise(chunk=7), file, tmp_path / "same.jsonl", seed=1)
    lines, expected = (
        [line.partition('"source"')[0] for line in result.output.read_text().splitlines()]
        for result in (pairs, same)
    )
    assert lines == expected
    assert make_pairs(Noise(), f"{name}@test", tmp_path / "test.jsonl").rows == 5
    where = name if by_library else tmp_path / "set" / "train.parquet"
    assert refused(TableError, make_pairs, Noise("txt"), name, tmp_path / "x.csv") == (
        f"{where} has no column 'txt'; its columns are: other, text"
    )
    assert refused(TableError, make_pairs, Noise(), "hub:nobody/nothing", tmp_path / "x.csv").startswith(
        "hub:nobody/nothing cannot be read: "
    )


def test_the_verb_is_public() -> None:
    assert lastword.make_pairs is make_pairs
