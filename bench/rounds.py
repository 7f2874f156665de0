"""Interleaved rounds: every round runs every implementation once, in turn; medians are compared."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from shapes import SHAPES

HERE = Path(__file__).parent


class Worker:
    """An implementation in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.startup_s: float = self._answer()["startup_s"]
        self.peak_mib = 0

    def seconds(self, request: dict[str, Any]) -> float:
        """Embed the texts of a file once."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = self._answer()
        self.peak_mib = reply["peak_mib"]
        return float(reply["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)


@contextmanager
def workers(kind: str, names: Sequence[str], folder: Path, threads: int) -> Iterator[dict[str, Worker]]:
    """Start the implementations of "encode" or "train" one after another; only one works at a time."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    with ExitStack() as stack:
        yield {
            name: Worker(stack.enter_context(_process([kind, name, str(folder), str(threads)], environment)))
            for name in names
        }


@contextmanager
def _process(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "worker.py"), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def interleaved(
    implementations: dict[str, Worker], request: dict[str, Any], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each implementation in each round; the first one changes from round to round."""
    seconds: dict[str, list[float]] = {name: [] for name in implementations}
    names = list(implementations)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(implementations[name].seconds(request))
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and both ends."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def keep(path: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the rows of a shape as soon as they are measured; those of other shapes stay if the machine is the same.

    Implementations of one shape are compared within one run; different shapes may come from different runs.
    The smallest shape comes first.

    Returns:
        All rows that the file holds now.
    """
    facts = machine()
    stored = json.loads(path.read_text()) if path.exists() else {"machine": None, "rows": []}
    shapes = {row["shape"] for row in rows}
    others = (
        [row for row in stored["rows"] if row["shape"] not in shapes] if stored["machine"] == facts else []
    )
    together = sorted([*others, *rows], key=lambda row: list(SHAPES).index(row["shape"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"machine": facts, "rows": together}, indent=1) + "\n")
    temporary.replace(path)
    return together


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    flags = next((line.split() for line in _lines("/proc/cpuinfo") if line.startswith("flags")), [])
    return {
        "cpu": model,
        "instructions": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
