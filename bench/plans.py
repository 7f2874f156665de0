"""How near `lastword plan` comes: its forecasts beside measured runs, on the bundled model and on SmolLM2-135M.

    python bench/plans.py            # writes results/bench/plans.json

Each run is planned and then done, in a process of its own. Time is that of the whole command, with the start of
Python, loading the model, and writing and verifying its folder, which the plan does not count.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rounds import machine

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "plans.json"
RUNS: dict[str, list[str]] = {
    "embed, mini": ["embed", "{texts}", "--model", "mini"],
    "embed, smollm2": ["embed", "{few}", "--model", "smollm2"],
    "train, mini": ["train", "--recipe", "mini"],
    "cluster, mini": ["cluster", "{texts}", "--map", "pca"],
    "adapt, mini": ["adapt", "{few}", "--map", "pca"],
    "distill, mini": ["distill", "mini", "--texts", "{texts}"],
    "train, smollm2": ["train", "--recipe", "small", "--steps", "8", "--warmup-steps", "1"],
}


def lastword(arguments: list[str]) -> tuple[str, str, float, float]:
    """Output, messages, seconds and peak memory in bytes of a command."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "lastword", *arguments], stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        out.seek(0), err.seek(0)
        messages = err.read()
        if status:
            raise SystemExit(f"lastword {' '.join(arguments)}: {messages}")
        return out.read(), messages, seconds, usage.ru_maxrss * 1024.0


def measured(arguments: list[str], folder: Path) -> dict[str, Any]:
    """A plan beside the run."""
    plan = json.loads(lastword(["plan", *arguments, "--json"])[0])
    output = folder / re.sub(r"\W+", "-", " ".join(arguments[:4]))
    *_, seconds, peak = lastword([*arguments, "--output", str(output)])
    return {
        "planned_bytes": plan["memory"]["peak"], "peak_bytes": round(peak),
        "planned_s": plan["seconds"], "seconds": round(seconds, 1),
        "memory_ratio": round(plan["memory"]["peak"] / peak, 3), "time_ratio": round(plan["seconds"] / seconds, 3),
        "plan": plan,
    }  # fmt: skip


def main() -> None:
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(folder)
        for run, arguments in RUNS.items():
            files = {"texts": str(folder / "texts.txt"), "few": str(folder / "few.txt")}
            rows[run] = measured([argument.format(**files) for argument in arguments], folder)
            print(run, {key: value for key, value in rows[run].items() if key != "plan"}, flush=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "runs": rows}, indent=1) + "\n")


def write_texts(folder: Path) -> None:
    """The bundled texts, varied by a number so that none occurs twice."""
    from lastword.bundled import path_of
    from lastword.files.tables import read_texts

    texts = [text for name in ("topics", "products") for text in read_texts(path_of(name), ["text"])["text"]]
    (folder / "few.txt").write_text("\n".join(texts))
    many = [f"{number} {text}" for number in range(12) for text in texts]
    (folder / "texts.txt").write_text("\n".join(many))


if __name__ == "__main__":
    main()
