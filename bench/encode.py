"""Encoding speed against sentence-transformers: the same folder, texts and vectors, in interleaved rounds.

    python bench/encode.py [--rounds 5]

Prints real tokens per second (padding does not count), the median over the rounds, and the ratio to
sentence-transformers in its default setting. Timings of other machines or other runs do not compare.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from lastword import Embedder
from lastword.bundled import path_of
from lastword.tables import read_texts


def contestants(folder: Path) -> dict[str, Callable[[list[str]], np.ndarray]]:
    """Name → a function that embeds."""
    default = SentenceTransformer(str(folder), device="cpu")
    half = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    full, fast = (
        Embedder.from_pretrained(folder, dtype="float32"),
        Embedder.from_pretrained(folder, dtype="bfloat16"),
    )
    return {
        "sentence-transformers, float32 (default)": lambda texts: default.encode(
            texts, show_progress_bar=False
        ),
        "sentence-transformers, bfloat16": lambda texts: half.encode(texts, show_progress_bar=False),
        "lastword, float32": full.encode,
        "lastword, bfloat16": fast.encode,
    }


def measure(
    encoders: dict[str, Callable[[list[str]], np.ndarray]], texts: list[str], rounds: int
) -> dict[str, float]:
    """Median seconds of each; every round runs all of them, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for encode in encoders.values():
        encode(texts[:64])
    for turn in range(rounds):
        names = list(encoders)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = time.perf_counter()
            encoders[name](texts)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    sets = {"topics and products": [], "rewritings": read_texts(path_of("pairs"), ["positive"])["positive"]}
    for name in ("topics", "products"):
        sets["topics and products"] += read_texts(path_of(name), ["text"])["text"]
    with tempfile.TemporaryDirectory() as parent:
        embedder = Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken", dtype="float32")
        encoders = contestants(embedder.save(Path(parent) / "model"))
        print(f"mini, ccw, lasttoken; {torch.get_num_threads()} threads; {args.rounds} rounds")
        for name, texts in sets.items():
            tokens = sum(map(len, embedder.tokenize(texts).ids))
            seconds = measure(encoders, texts, args.rounds)
            base = seconds["sentence-transformers, float32 (default)"]
            print(f"\n{name}: {len(texts):,} texts, {tokens:,} tokens")
            for encoder, value in seconds.items():
                print(f"  {encoder:42} {tokens / value:>9,.0f} tokens/s  {base / value:5.2f}x")


if __name__ == "__main__":
    main()
