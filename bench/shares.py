"""Where the time goes: matrix products, attention, copies and the rest, in encoding and in a training step.

    python bench/shares.py                       # the real model; writes results/bench/shares.json

Sequences of one length, without padding and template. Times are seconds of the processor of one thread, so that other
work on the machine counts little; the limit (matrix products alone) is measured in the same rounds. A training step
computes the gradients of the adapters: its limit is twice the products of encoding.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from implementations import matrix_products
from lastword import Embedder
from lastword.config import TrainConfig
from lastword.embedding.tokens import Batch, Sequences, pad
from lastword.training.adapter import add_adapter
from rounds import machine

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "shares.json"
LENGTHS = (16, 64, 256, 512)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
KINDS = {
    "products": ("mm", "addmm", "_mkl_linear", "mkldnn_linear", "_linear_pointwise"),
    "attention": ("bmm", "baddbmm", "softmax", "scaled_dot_product", "flash_attention"),
    "copies": ("copy_", "cat", "index", "clone", "contiguous", "repeat", "fill_", "zero_", "slice_backward"),
}


def batch_of(embedder: Embedder, length: int, tokens: int) -> Batch:
    """Rows of this length with this many tokens together, at random."""
    rows, vocabulary = max(1, tokens // length), embedder.backbone.model.config.vocab_size
    ids = torch.randint(5, vocabulary, (rows, length), generator=torch.Generator().manual_seed(0)).tolist()
    sequences = Sequences(ids, [(0, length)] * rows, truncated=0)
    return pad(sequences, list(range(rows)), embedder.pipeline.tokenizer.pad_id, embedder.backbone.device)


def kind_of(operation: str) -> str:
    name = operation.removeprefix("aten::").removeprefix("mkldnn::")
    for kind, parts in KINDS.items():
        if any(name == part or (len(part) > 4 and part in name) for part in parts):
            return kind
    return "rest"


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Share of the time in each kind of operation."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    totals = dict.fromkeys((*KINDS, "rest"), 0.0)
    for event in profile.key_averages():
        totals[kind_of(event.key)] += event.self_cpu_time_total
    return {kind: round(total / sum(totals.values()), 3) for kind, total in totals.items()}


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def row(
    model: str, dtype: str, length: int, job: str, work: Callable[[], object], limit: Callable[[], object],
    tokens: int, rounds: int,
) -> dict[str, Any]:  # fmt: skip
    work()  # products are compiled for a shape once
    limit()
    times = [(seconds(work), seconds(limit)) for _ in range(rounds)]
    taken, least = (statistics.median(column) for column in zip(*times, strict=True))
    least *= 2 if job == "training" else 1
    found = {
        "model": model, "dtype": dtype, "length": length, "job": job, "tokens": tokens, "rounds": rounds,
        "tokens_per_s": round(tokens / taken, 1), "limit_tokens_per_s": round(tokens / least, 1),
        "share_of_limit": round(least / taken, 3), **shares(work),
    }  # fmt: skip
    print(json.dumps(found), flush=True)
    return found


def measure(
    model: str, dtype: str, lengths: list[int], jobs: list[str], tokens: int, rounds: int
) -> list[dict[str, Any]]:
    embedder = Embedder.from_pretrained(model, dtype=dtype, device="cpu")
    with tempfile.TemporaryDirectory() as folder:  # the limit reads the configuration alone
        embedder.backbone.model.config.save_pretrained(folder)
        limit = matrix_products(Path(folder), DTYPES[dtype])
    rows = []
    if "encoding" in jobs:
        for length in lengths:
            batch = batch_of(embedder, length, tokens)

            def encode(batch: Batch = batch) -> None:
                with torch.inference_mode():
                    embedder.pipeline.vectors(batch)

            rows.append(
                row(model, dtype, length, "encoding", encode, lambda: limit([], tokens), tokens, rounds)
            )
    if "training" in jobs:
        add_adapter(embedder.backbone.model, TrainConfig(rank=32, alpha=32.0, dropout=0.0))
        embedder.backbone.model.train()
        for length in lengths:
            batch = batch_of(embedder, length, tokens)
            rows.append(
                row(
                    model, dtype, length, "training",
                    lambda batch=batch: embedder.pipeline.vectors(batch).sum().backward(),
                    lambda: limit([], tokens), tokens, rounds,
                )
            )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--jobs", nargs="+", default=["encoding", "training"])
    parser.add_argument("--tokens", type=int, default=2048, help="in a batch")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for dtype in args.dtypes:
        rows += measure(args.model, dtype, args.lengths, args.jobs, args.tokens, args.rounds)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
