"""Measure how fast vectors are kept and found again.

    python tools/results/cache_rates.py     # writes results/cache.json; under a minute

20,000 vectors of a width in batches of 500, in a temporary folder; found again in questions of 512, in
another order than they were kept. The file is in the system's cache by then: what is measured is SQLite and
the checksums, and not the disk.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from lastword.cache import VectorCache

RESULTS = Path(__file__).parents[2] / "results" / "cache.json"
VECTORS, BATCH, ASKED = 20_000, 500, 512


def measure(dim: int) -> dict[str, float]:
    texts = [f"text number {number} of those that are kept" for number in range(VECTORS)]
    vectors = np.random.default_rng(0).random((VECTORS, dim), np.float32)
    with tempfile.TemporaryDirectory() as folder, VectorCache(folder).open("model") as shelf:
        began = time.perf_counter()
        for start in range(0, VECTORS, BATCH):
            shelf.put(texts[start : start + BATCH], vectors[start : start + BATCH])
        kept = time.perf_counter() - began
        random.Random(0).shuffle(texts)
        began = time.perf_counter()
        for start in range(0, VECTORS, ASKED):
            assert len(shelf.get(texts[start : start + ASKED])) == len(texts[start : start + ASKED])
        found = time.perf_counter() - began
        shelf.close()
        (facts,) = VectorCache(folder).info()
    return {
        "dim": dim,
        "kept_per_s": VECTORS / kept,
        "found_per_s": VECTORS / found,
        "bytes_over_vectors": facts.bytes / vectors.nbytes,
    }


def main() -> None:
    rows = [measure(dim) for dim in (256, 1024, 4096)]
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps({"vectors": VECTORS, "batch": BATCH, "rows": rows}, indent=1) + "\n")
    temporary.replace(RESULTS)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
