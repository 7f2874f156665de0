"""On a GPU: encoding beside sentence-transformers and the matrix products alone, and a training run within 24 GiB.

    python bench/gpu.py                          # writes results/bench/gpu.json

Random weights in the shape of real models. Rounds are interleaved; real tokens count, padding does not. The training
run has the size of the paper's: 100 steps of 120 pairs, rank 64, all layers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import texts
from implementations import IMPLEMENTATIONS, LIMIT, matrix_products
from lastword import Embedder, train
from lastword.config import read_recipe
from lastword.training import LastStep
from rounds import machine, spread
from shapes import folder_of

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "gpu.json"
NAMES = ("lastword", "sentence-transformers, bfloat16", "sentence-transformers, bfloat16, batch 128")
COUNTS = {"small": 4_000, "llama": 2_000}
"""Shape → texts of each kind."""
CHUNK = 65_536
"""Tokens of one product of the limit, as many as a batch has."""
MEMORY_GIB, GRAPH_GIB = 24, 12


def encoding(shape: str, folder: Path, kinds: list[str], rounds: int) -> list[dict[str, Any]]:
    """A row for each kind of texts: tokens per second of each implementation, and the share of the limit."""
    encoders = {name: IMPLEMENTATIONS[name](folder) for name in NAMES}
    encoders[LIMIT] = matrix_products(folder, chunk=CHUNK)
    pipeline = Embedder.from_pretrained(folder, device="cpu").pipeline
    rows = []
    for kind in kinds:
        some = texts.read(kind, COUNTS[shape])
        tokens = sum(map(len, pipeline.tokenize(some).ids))
        seconds: dict[str, list[float]] = {name: [] for name in encoders}
        for round_ in range(rounds + 1):
            for name, encode in encoders.items():
                started = time.perf_counter()
                encode(some, tokens)
                torch.cuda.synchronize()
                if round_:  # the first one warms up
                    seconds[name].append(time.perf_counter() - started)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        rows.append({
            "shape": shape, "texts": kind, "count": len(some), "tokens": tokens,
            "seconds": {name: spread(values) for name, values in seconds.items()},
            "tokens_per_s": {name: round(tokens / value) for name, value in medians.items()},
            "share_of_limit": round(medians[LIMIT] / medians["lastword"], 3),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def training(shape: str, folder: Path, parent: Path, steps: int) -> dict[str, Any]:
    """Time, memory and share of the products' rate of a run that cannot take more than `MEMORY_GIB`."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(MEMORY_GIB * 2**30 / total)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    settings = read_recipe("paper") | {"model": str(folder), "steps": steps, "graph_gib": GRAPH_GIB}
    settings |= {"batch_tokens": 16_384}
    result = train(
        parent / f"{shape}-trained", scorer=LastStep(), trackers="none", overwrite=True, **settings
    )
    return {
        "shape": shape, "steps": steps, "pairs": settings["batch_pairs"], "memory_gib": MEMORY_GIB,
        "seconds": round(result.seconds, 1), "plan": result.to_dict()["plan"],
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=COUNTS, default=list(COUNTS))
    parser.add_argument("--texts", nargs="+", choices=texts.KINDS, default=list(texts.KINDS))
    parser.add_argument("--rounds", type=int, default=3, help="after one that warms up")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    content: dict[str, Any] = {"machine": machine(), "encoding": [], "training": []}
    with tempfile.TemporaryDirectory() as parent:
        for shape in args.shapes:
            folder = folder_of(shape, Path(parent))
            for kind, work in (
                (
                    "encoding",
                    lambda folder=folder, shape=shape: encoding(shape, folder, args.texts, args.rounds),
                ),
                (
                    "training",
                    lambda folder=folder, shape=shape: [training(shape, folder, Path(parent), args.steps)],
                ),
            ):
                content[kind] += work()
                args.output.write_text(json.dumps(content, indent=1) + "\n")
                print(json.dumps(content[kind][-1]), flush=True)


if __name__ == "__main__":
    main()
