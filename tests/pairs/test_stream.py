"""A run over a file: constant settings, kept chunks, the same file after any interruption."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.errors import ExistingOutputError, MissingFileError, RequestError, TableError
from lastword.files.streams import Chunk, chunks
from lastword.pairs import Noise, Pair, make_pairs, stream

Refused = Callable[..., str]


def texts(count: int) -> list[str]:
    return [f"text number {i} says something of its own, {i * i} times over" for i in range(count)]


def write(path: Path, content: list[str]) -> Path:
    """One column `text`, in the format of the path's ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"other": content, "text": content}), path)
    elif path.suffix in (".csv", ".tsv"):
        mark = "," if path.suffix == ".csv" else "\t"
        lines = [f'"{text}"{mark}1' for text in content]
        path.write_text("\n".join([f"text{mark}other", *lines]) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("".join(f'{{"text": "{text}", "n": 1}}\n' for text in content))
    else:
        path.write_text("\n".join(content) + "\n")
    return path


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".tsv", ".jsonl", ".txt"])
def test_every_format_gives_the_same_chunks(ending: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"texts{ending}", texts(10))
    found = list(chunks(file, ["text"], 4))
    assert [chunk.start for chunk in found] == [0, 4, 8]
    assert [text for chunk in found for text in chunk.columns["text"]] == texts(10)
    assert stream._count(file) == 10, "the bar would not end where the work ends"


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_pairs_do_not_depend_on_the_size_of_chunks(ending: str, tmp_path: Path) -> None:
    file = write(tmp_path / "texts.parquet", texts(50))
    outs = [
        make_pairs(Noise(chunk=size), file, tmp_path / f"{size}{ending}", seed=2).out for size in (1, 7, 1000)
    ]
    if ending != ".parquet":  # row groups follow the chunks there
        assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()
    else:
        assert pq.read_table(outs[0]).equals(pq.read_table(outs[1]))
    assert not list(tmp_path.glob("*.partial"))


class StopsError(Exception):
    """What an interruption looks like from inside."""


class Interrupted(Noise):
    """Noise that stops in the middle of a chunk."""

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Any]:
        for outcome in super().pairs(chunk, seed):
            if isinstance(outcome, Pair) and outcome.row == 23:
                raise StopsError
            yield outcome


def test_resumed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.csv", texts(60))
    whole = make_pairs(Noise(chunk=10), file, tmp_path / "whole.parquet", seed=1)
    with pytest.raises(StopsError):
        make_pairs(Interrupted(chunk=10), file, tmp_path / "out.parquet", seed=1)
    assert len(list((tmp_path / "out.parquet.partial").glob("part-*"))) == 2
    resumed = make_pairs(Noise(chunk=10), file, tmp_path / "out.parquet", seed=1, resume=True)
    assert resumed.out.read_bytes() == whole.out.read_bytes()
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
    file.write_text(file.read_text() + "another text,1\n")
    assert "resume=True: file was" in refused(
        RequestError, make_pairs, Noise(chunk=10), file, out, seed=1, resume=True
    )
    assert make_pairs(Noise(chunk=10), file, out, seed=2, overwrite=True).pairs == 61


def test_killed_run_goes_on(tmp_path: Path) -> None:
    """A real process, a real kill -9, and the file of the uninterrupted run."""
    file = write(tmp_path / "texts.txt", texts(120_000))
    out, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    command = [
        sys.executable,
        "-m",
        "lastword",
        "pairs",
        "noise",
        str(file),
        "--output",
        str(out),
        "--seed",
        "5",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not len(list(partial.glob("part-*.parquet"))) >= 2:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    subprocess.run([*command, "--resume"], check=True, stderr=subprocess.DEVNULL)
    whole = make_pairs(Noise(), file, tmp_path / "whole.jsonl", seed=5)
    assert out.read_bytes() == whole.out.read_bytes()
    assert not partial.exists()


def test_a_full_disk_keeps_what_was_done(tmp_path: Path) -> None:
    """A file size limit stands in for the full disk: the parts fit, the file of all of them does not."""
    file, out = write(tmp_path / "texts.txt", texts(20_000)), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "lastword", "pairs", "noise", str(file), "--output", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True,
        preexec_fn=lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "lastword: the disk is full (or a file may not grow): free some space; what was finished is kept"
    )
    assert not out.exists()
    assert list((tmp_path / "out.jsonl.partial").glob("part-*"))
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert "resuming after" in resumed.stderr
    assert len(out.read_text().splitlines()) == 20_000


def test_rows_without_text(tmp_path: Path, refused: Refused) -> None:
    file, out = write(tmp_path / "texts.txt", [*texts(12), " ", "one more text"]), tmp_path / "out.csv"
    message = refused(TableError, make_pairs, Noise(chunk=5), file, out)
    assert message == (
        f"{file}: row 12 (counted from 0) holds no text in text; mend it, or go on without such rows: "
        "--drop-empty --resume"
    )
    made = make_pairs(Noise(chunk=5), file, out, drop_empty=True, resume=True)
    assert (made.rows, made.pairs, made.rejected) == (14, 13, {"no text": 1})


def test_bad_input_leaves_nothing_behind(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "out.parquet"
    missing = tmp_path / "none.csv"
    assert refused(MissingFileError, make_pairs, Noise(), missing, out) == (
        f"no file {missing}: give a .parquet, .csv, .tsv, .jsonl, .json, .txt file that exists"
    )
    file = write(tmp_path / "texts.csv", texts(3))
    assert refused(TableError, make_pairs, Noise("txt"), file, out) == (
        f"{file} has no column 'txt'; its columns are: text, other"
    )
    lines = write(tmp_path / "texts.jsonl", texts(3))
    assert refused(TableError, make_pairs, Noise("txt"), lines, out) == (
        f"{lines} has no column 'txt'; its columns are: text, n"
    )
    lines.write_text('{"text": "a b c"}\n{"text": \n')
    assert refused(TableError, make_pairs, Noise(), lines, out).startswith(
        f"{lines} is not a readable .jsonl file: "
    )
    (tmp_path / "empty.csv").write_text("text\n")
    assert "has no rows" in refused(TableError, make_pairs, Noise(), tmp_path / "empty.csv", out)
    assert refused(RequestError, make_pairs, Noise(), file, tmp_path / "out.xlsx") == (
        f"--output {tmp_path / 'out.xlsx'}: write .parquet, .jsonl, .csv, not .xlsx"
    )
    short = write(tmp_path / "short.txt", ["a", "b"])
    assert refused(TableError, make_pairs, Noise(), short, out) == (
        "not one pair came of 2 rows: too short to be changed (2)"
    )
    make_pairs(Noise(), file, out)
    assert refused(ExistingOutputError, make_pairs, Noise(), file, out) == (
        f"{out} exists: choose another path or pass overwrite=True"
    )


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A hundred times the rows take about the same memory, in processes of their own."""
    code = (
        "import sys; from lastword.pairs import Noise, make_pairs; make_pairs(Noise(), sys.argv[1], sys.argv[2]);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    peaks = []
    for count in (4_000, 200_000):
        file, out = write(tmp_path / f"{count}.txt", texts(count)), tmp_path / f"{count}.jsonl"
        done = subprocess.run(
            [sys.executable, "-c", code, str(file), str(out)], check=True, capture_output=True, text=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 60, peaks


def test_a_data_set_is_read_as_it_arrives(tmp_path: Path, refused: Refused) -> None:
    """A folder stands in for a data set on the Hub; both are read by the same library in the same way."""
    (tmp_path / "set").mkdir()
    write(tmp_path / "set" / "train.parquet", texts(30))
    write(tmp_path / "set" / "test.parquet", texts(5))
    place = f"hub:{tmp_path / 'set'}"
    made = make_pairs(Noise(chunk=7), place, tmp_path / "out.jsonl", seed=1)
    file = write(tmp_path / "texts.parquet", texts(30))
    same = make_pairs(Noise(chunk=7), file, tmp_path / "same.jsonl", seed=1)
    strip = [line.partition('"source"')[0] for line in same.out.read_text().splitlines()]
    assert [line.partition('"source"')[0] for line in made.out.read_text().splitlines()] == strip
    assert make_pairs(Noise(), f"{place}@test", tmp_path / "test.jsonl").rows == 5
    assert refused(TableError, make_pairs, Noise("txt"), place, tmp_path / "x.csv") == (
        f"{place} has no column 'txt'; its columns are: other, text"
    )
    assert refused(TableError, make_pairs, Noise(), "hub:nobody/nothing", tmp_path / "x.csv").startswith(
        "hub:nobody/nothing cannot be read: "
    )
