"""Texts that are reported are never looked at: not opened as files, not embedded as rows of another split."""

from __future__ import annotations

import csv
import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lastword.cli import main
from lastword.embedding.pipeline import Pipeline
from tests.processes import command, run

IN_OPEN = 0x20
NOUNS = ("river", "price")


class Opened:
    """Names of the files in a folder that anybody opens, told by the kernel (Python's audit hooks would miss
    what pyarrow opens)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            pytest.skip("this system cannot tell which files are opened: it has no inotify")
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK)
        if libc.inotify_add_watch(self.descriptor, os.fsencode(folder), IN_OPEN) < 0:
            pytest.skip(f"inotify does not work here: {os.strerror(ctypes.get_errno())}")

    def names(self) -> set[str]:
        found = set()
        while True:
            try:
                data = os.read(self.descriptor, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                _, _, _, length = struct.unpack_from("iIII", data)
                found.add(data[16 : 16 + length].rstrip(b"\0").decode())
                data = data[16 + length :]


def write_labelled(path: Path, splits: Sequence[str]) -> dict[str, set[str]]:
    """Texts of two labels for each split; gives split → texts."""
    texts: dict[str, set[str]] = {split: set() for split in splits}
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "split"])
        for i in range(10):
            for split in splits:
                for noun in NOUNS:
                    text = f"the {noun} of {path.stem} {split} number {i}"
                    texts[split].add(text)
                    rows.writerow([text, noun, split])
    return texts


def arguments_of(model: Path, pairs: Path, dev: str, out: Path) -> list[str]:
    return [
        "train", "--model", str(model), "--pairs", str(pairs), "--dev", dev, "--output", str(out), "--steps", "12",
        "--batch-pairs", "8", "--rank", "4", "--max-tokens", "64", "--patience", "5", "--dtype", "float32",
        "--device", "cpu", "--trackers", "none",
    ]  # fmt: skip


def test_files_of_reported_texts_are_never_opened(
    tmp_path: Path, llama_folder: Path, pairs_file: Path
) -> None:
    for name in ("dev", "test"):
        write_labelled(tmp_path / f"{name}.csv", [name])
    opened = Opened(tmp_path)
    arguments = arguments_of(llama_folder, pairs_file, str(tmp_path / "dev.csv"), tmp_path / "out")
    run(command, arguments, tmp_path / "stderr.txt")
    names = opened.names()
    assert {"dev.csv", pairs_file.name} <= names, "whoever is watched must be seen"
    assert "test.csv" not in names
    (tmp_path / "test.csv").read_text()
    assert opened.names() == {"test.csv"}, "its opening would have been noticed"


def test_rows_of_other_splits_never_reach_the_model(
    tmp_path: Path, llama_folder: Path, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = write_labelled(tmp_path / "all.csv", ["train", "dev", "test"])
    seen: set[str] = set()
    tokenize = Pipeline.tokenize

    def recorded(self: Pipeline, given: Sequence[str], *rest: Any, **more: Any) -> Any:
        seen.update(given)
        return tokenize(self, given, *rest, **more)

    monkeypatch.setattr(Pipeline, "tokenize", recorded)
    arguments = arguments_of(llama_folder, pairs_file, f"{tmp_path / 'all.csv'}:dev", tmp_path / "out")
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert texts["dev"] <= seen, "whatever is embedded is recorded"
    assert not seen & (texts["test"] | texts["train"])
