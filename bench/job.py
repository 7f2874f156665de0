"""A whole job from start to end: embed, adapt, write, load, embed again; lastword and sentence-transformers.

python bench/job.py                          # writes results/bench/job.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from jobs import JOBS, PAIRS, STEPS
from lastword import Embedder
from lastword.bundled import path_of
from lastword.files.tables import read_texts
from rounds import interleaved, keep, spread, workers
from shapes import folder_of

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "job.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    texts = [text for name in ("topics", "products") for text in read_texts(path_of(name), ["text"])["text"]]
    with tempfile.TemporaryDirectory() as temporary:
        folder, path = folder_of("mini", Path(temporary)), Path(temporary) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        tokens = sum(map(len, Embedder.from_pretrained(folder, device="cpu").pipeline.tokenize(texts).ids))
        with workers("job", list(JOBS), folder, args.threads) as implementations:
            seconds = interleaved(implementations, {"texts": str(path), "tokens": tokens}, args.rounds)
            rows = [
                {"shape": "mini", "implementation": name, "texts": len(texts), "steps": STEPS, "pairs": PAIRS,
                 "threads": args.threads, "rounds": args.rounds, "seconds": spread(values),
                 "startup_s": implementations[name].startup_s, "peak_mib": implementations[name].peak_mib}
                for name, values in seconds.items()
            ]  # fmt: skip
    for row in rows:
        print(
            f"{row['implementation']:34} {row['seconds']['median']:>7.1f} s {row['peak_mib']:>6,} MiB",
            flush=True,
        )
    keep(RESULTS, rows)


if __name__ == "__main__":
    main()
