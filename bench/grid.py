"""A grid of templates, poolings and suffixes against one encoding of the same texts.

python bench/grid.py                         # writes results/bench/grid.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import texts
from lastword import Embedder
from rounds import keep, spread
from shapes import SHAPES, folder_of
from suffixes import SUFFIXES

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "grid.json"
POOLINGS = ["mean", "lasttoken", "weightedmean", "max"]
NAMED = ["none", "eol", "pcot", "sum", "ccw", "ccp", "question", "classify"]


def computations(embedder: Embedder, sample: list[str]) -> dict[str, Callable[[], Any]]:
    """Name → one computation over the texts."""
    return {
        "one encoding": lambda: embedder.encode(sample),
        "8 templates of one prefix x 4 poolings": lambda: embedder.encode_grid(
            sample, SUFFIXES[:8], POOLINGS
        ),
        "8 named templates x 4 poolings": lambda: embedder.encode_grid(sample, NAMED, POOLINGS),
        "50 suffixes, last token": lambda: embedder.encode_grid(sample, SUFFIXES, ["lasttoken"]),
    }


def of_length(embedder: Embedder, tokens: int, count: int) -> list[str]:
    """Real texts of about this many tokens."""
    many = texts.read("short" if tokens < 60 else "long", 15_000)
    lengths = [len(ids) for ids in embedder.pipeline.tokenizer.text_ids(many)]
    near = [text for text, length in zip(many, lengths, strict=True) if abs(length - tokens) <= tokens // 8]
    return near[:count]


def measure(shape: str, tokens: int, count: int, rounds: int, parent: Path) -> list[dict[str, Any]]:
    embedder = Embedder.from_pretrained(folder_of(shape, parent))
    sample = of_length(embedder, tokens, count)
    doing = computations(embedder, sample)
    seconds: dict[str, list[float]] = {name: [] for name in doing}
    for turn in range(rounds + 1):
        for name, work in doing.items():
            started = time.perf_counter()
            work()
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    one = statistics.median(seconds["one encoding"])
    rows = [
        {"shape": shape, "text_tokens": tokens, "count": len(sample), "what": name, "rounds": rounds,
         "seconds": spread(values), "times_one_encoding": statistics.median(values) / one}
        for name, values in seconds.items()
    ]  # fmt: skip
    for row in rows:
        print(
            f"{shape:6} {tokens:4} tokens  {row['what']:42} {row['times_one_encoding']:6.2f} x one encoding",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["mini", "small"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=Path, help="keep the models' folders here for another run")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    counts = {"mini": {25: 400, 200: 60}, "small": {25: 40, 200: 8}}
    with tempfile.TemporaryDirectory() as temporary:
        for shape in args.shapes:
            rows = [
                row
                for tokens, count in counts.get(shape, {25: 20, 200: 4}).items()
                for row in measure(shape, tokens, count, args.rounds, args.models or Path(temporary))
            ]
            keep(RESULTS, rows)


if __name__ == "__main__":
    main()
