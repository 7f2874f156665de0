"""Weights in 8 and 4 bits: what they save, what they cost in time, and what in quality.

python bench/quantize.py                     # writes results/bench/quantize.json

Speed and memory by shape, encoding and training; quality on the bundled model: how many texts keep their
nearest neighbour, how well clusters match labels before a training, and after one over quantised weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import texts
from encode import requests
from implementations import QUANTIZED
from lastword import Embedder
from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.evaluation.development import ClusterScorer
from lastword.files.tables import read_texts
from lastword.training import train
from rounds import interleaved, machine, spread, workers
from shapes import POOLING, SHAPES, TEMPLATE, folder_of
from train import request as pairs_request

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "quantize.json"


def weights_mib(folder: Path, kind: str | None) -> float:
    footprint: int = Embedder.from_pretrained(folder, quantize=kind).backbone.model.get_memory_footprint()
    return footprint / 2**20


def speed(shape: str, pairs: int, rounds: int, threads: int, parent: Path) -> list[dict[str, Any]]:
    """Tokens a second of encoding and of a training step, each precision in turn."""
    folder = folder_of(shape, parent)
    embedder = Embedder.from_pretrained(folder, device="cpu")
    names = {f"lastword, {name}" if kind else "lastword": (name, kind) for name, kind in QUANTIZED.items()}
    request_of = {
        "encode": requests(embedder, shape, ["short"], parent)["short"],
        "train": pairs_request(embedder, pairs, parent),
    }
    rows = []
    for work, request in request_of.items():
        with workers(work, list(names), folder, threads) as implementations:
            interleaved(implementations, request, 1)  # the first round is not counted
            for implementation, values in interleaved(implementations, request, rounds).items():
                name, kind = names[implementation]
                rows.append({
                    "shape": shape, "work": work, "weights": name, "weights_mib": weights_mib(folder, kind),
                    "peak_mib": implementations[implementation].peak_mib, "seconds": spread(values),
                    "tokens_per_s": request["tokens"] / statistics.median(values),
                })  # fmt: skip
                print(f"{shape:6} {work:7} {name:5} {rows[-1]['tokens_per_s']:>9,.0f} tokens/s", flush=True)
    return rows


def development() -> ClusterScorer:
    sets = {}
    for name in ("topics", "products"):
        columns = read_texts(path_of(name), ["text", "label"], where={"split": "dev"})
        sets[name] = (columns["text"], columns["label"])
    return ClusterScorer(sets)


def nearest(vectors: np.ndarray) -> np.ndarray:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    return similarity.argmax(1)


def quality(seeds: int, parent: Path) -> list[dict[str, Any]]:
    """Neighbours and development scores of the bundled model at each precision."""
    scorer, titles = development(), texts.read("short", 2_000)
    exact = Embedder.from_pretrained("mini", template=TEMPLATE, pooling=POOLING, dtype="float32")
    neighbours, rows = nearest(exact.encode(titles)), []
    recipe = {**read_recipe("mini"), "steps": 30}
    for name, kind in QUANTIZED.items():
        embedder = Embedder.from_pretrained("mini", template=TEMPLATE, pooling=POOLING, quantize=kind)
        trained = []
        for seed in range(seeds):
            out = parent / f"{name}-{seed}"
            train(out, **{**recipe, "seed": seed, "quantize": kind}, trackers="none")
            trained.append(scorer(Embedder.from_pretrained(out)).value)
        rows.append({
            "weights": name, "zero_shot": scorer(embedder).value, "adapted": trained,
            "same_neighbour": float((nearest(embedder.encode(titles)) == neighbours).mean()),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["mini", "small", "qwen"])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as temporary:
        parent = Path(temporary)
        rows = [
            row
            for shape in args.shapes
            for row in speed(shape, args.pairs, args.rounds, args.threads, parent)
        ]
        content = {"machine": machine(), "rows": rows, "quality": quality(args.seeds, parent)}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
