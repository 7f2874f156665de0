"""The gain of torch.compile for the fused forward pass, and the cost of its warm-up: cold, and with a warm cache.

    python bench/compile.py                      # writes results/bench/compile.json

The evidence behind docs/adr/0013-no-compilation.md.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

import texts
from encode import ROOT, measure
from rounds import keep

RESULTS = ROOT / "results" / "bench" / "compile.json"
NAMES = ["lastword", "lastword, compiled"]
SHAPES = ("mini", "small")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        for shape in SHAPES:
            rows = []
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(
                Path(temporary) / f"cache-{shape}"
            )  # workers inherit it
            cold, warm = (
                {
                    (row["texts"], row["implementation"]): row
                    for row in measure(shape, NAMES, kinds, 3, 2, Path(temporary))
                }
                for kinds in (["short"], list(texts.KINDS))
            )
            for kind in texts.KINDS:
                eager, faster = (warm[kind, name] for name in NAMES)
                usual = statistics.median(row["first_s"] for row in (eager, cold["short", NAMES[0]]))
                rows.append({
                    "shape": shape, "texts": kind, "tokens": eager["tokens"],
                    "tokens_per_s": eager["tokens_per_s"], "compiled_tokens_per_s": faster["tokens_per_s"],
                    "cold_s": cold["short", NAMES[1]]["first_s"] - usual, "warm_s": faster["first_s"] - usual,
                })  # fmt: skip
            keep(RESULTS, rows)


if __name__ == "__main__":
    main()
