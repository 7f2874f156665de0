"""Run as a script: an adaptation whose process is killed at some of `KILLS`, and then resumed to its end.

    python killed.py REQUEST.json CALLS.txt 0,3,8

The process that is killed is a copy of this one, so that libraries are imported once. The calls of stages that finished
are appended to CALLS.txt.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL = {
    "lastword.evaluation.clustering._BOOTSTRAPS": 2,
    "lastword.evaluation.clustering.STARTS": 2,
    "lastword.evaluation.development._BOOTSTRAP_SIZE": 256,
    "lastword.uncertainty.HALVES": 4,
    "lastword.adaptation.choosing.TEMPLATES": ("none",),
    "lastword.adaptation.choosing.LEAST_TEXTS": 30,
    "lastword.planning.training._ROUNDS": 1,
}
"""Fewer bootstraps and halves in each score, fewer settings and texts, and less timing of the machine."""
KILLS = [
    ("lastword.adaptation.texts.replace", 1, "before"),
    ("lastword.probing.scoring.score_part", 2, "before"),
    ("lastword.adaptation.adapt.choose", 1, "after"),
    ("lastword.adaptation.sources.make_pairs", 2, "before"),
    ("lastword.pairs.neighbouring.nearest_others", 1, "before"),
    ("lastword.training.checkpoints.Checkpoints.save", 1, "after"),
    ("lastword.adaptation.adapt.train", 1, "after"),
    ("lastword.adaptation.scoring.Comparer.scores", 2, "after"),
    ("lastword.adaptation.adapt.replace", 1, "before"),
    ("lastword.corpus.cluster.find_groups", 1, "before"),
    ("lastword.adaptation.adapt.cluster_corpus", 1, "after"),
    ("lastword.adaptation.adapt.write_page", 1, "after"),
]
"""Function → the call of it, before or after which the process is killed."""
STAGES = ("write_sample", "choose", "train", "cluster_corpus")


def owner(path: str) -> tuple[Any, str]:
    """The module or class, and the name in it."""
    parts = path.split(".")
    split = next(
        number for number, part in enumerate(parts[1:], 1) if part[:1].isupper() or number == len(parts) - 1
    )
    found: Any = importlib.import_module(".".join(parts[:split]))
    for part in parts[split:-1]:
        found = getattr(found, part)
    return found, parts[-1]


def wrap(path: str, around: Callable[[Callable[[], Any]], Any]) -> None:
    where, name = owner(path)
    original = getattr(where, name)
    setattr(where, name, lambda *args, **settings: around(lambda: original(*args, **settings)))


def kill_at(path: str, number: int, when: str) -> None:
    calls = []

    def around(call: Callable[[], Any]) -> Any:
        calls.append(path)
        last = len(calls) == number
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call()
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    wrap(path, around)


def main() -> None:
    request, calls = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    from lastword import adapt_corpus

    for path, value in SMALL.items():
        where, name = owner(path)
        setattr(where, name, value)

    def logged(stage: str) -> Callable[[Callable[[], Any]], Any]:
        def around(call: Callable[[], Any]) -> Any:
            result = call()
            with calls.open("a") as file:
                print(stage, file=file, flush=True)
            return result

        return around

    for stage in STAGES:
        wrap(f"lastword.adaptation.adapt.{stage}", logged(stage))
    for number in sys.argv[3].split(","):
        kill = KILLS[int(number)]
        child = os.fork()
        if not child:
            kill_at(*kill)
            adapt_corpus(**request, resume=True)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise SystemExit(f"{kill}: the process ended by itself with status {status}")
    adapt_corpus(**request, resume=True)


if __name__ == "__main__":
    main()
