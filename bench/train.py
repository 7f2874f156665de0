"""One optimizer step: lastword and sentence-transformers at the same effective batch, in interleaved rounds.

python bench/train.py                        # writes results/bench/train.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from lastword import Embedder
from lastword.bundled import path_of
from lastword.files.tables import read_texts
from rounds import interleaved, keep, spread, workers
from shapes import SHAPES, folder_of
from trainers import LONGEST, TRAINERS

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "train.json"
DEFAULT = [
    name for name in TRAINERS if name not in ("lastword, int8", "lastword, nf4")
]  # quantize.py has these


def request(embedder: Embedder, pairs: int, parent: Path) -> dict[str, Any]:
    """The first distinct pairs of the bundled ones: anchors, then positives."""
    columns = read_texts(path_of("pairs"), ["anchor", "positive"])
    found = dict(zip(columns["positive"], columns["anchor"], strict=True))
    texts = [*list(found.values())[:pairs], *list(found)[:pairs]]
    path = parent / f"pairs-{pairs}.json"
    path.write_text(json.dumps(texts), encoding="utf-8")
    tokens = sum(map(len, embedder.variant(max_tokens=LONGEST).pipeline.tokenize(texts).ids))
    return {"texts": str(path), "tokens": tokens}


def measure(
    shape: str, names: list[str], pairs: int, rounds: int, threads: int, parent: Path
) -> list[dict[str, Any]]:
    folder = folder_of(shape, parent)
    step_request = request(Embedder.from_pretrained(folder, device="cpu"), pairs, parent)
    rows = []
    with workers("train", names, folder, threads) as implementations:
        interleaved(implementations, step_request, 1)  # the first step of each is not counted
        for name, values in interleaved(implementations, step_request, rounds).items():
            rows.append({
                "shape": shape, "implementation": name, "pairs": pairs, "tokens": step_request["tokens"],
                "threads": threads, "seconds": spread(values), "rounds": rounds,
                "peak_mib": implementations[name].peak_mib,
                "tokens_per_s": step_request["tokens"] / statistics.median(values),
            })  # fmt: skip
            print(
                f"{shape:6} {pairs:4} pairs {name:44} {rows[-1]['tokens_per_s']:>8,.0f} tokens/s "
                f"{rows[-1]['peak_mib']:>6,} MiB",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["mini", "small"])
    parser.add_argument("--implementations", nargs="+", choices=TRAINERS, default=DEFAULT)
    parser.add_argument("--pairs", type=int, nargs="+", default=[120])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=Path, help="keep the models' folders here for another run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        parent = args.models or Path(temporary)
        parent.mkdir(parents=True, exist_ok=True)
        for shape in args.shapes:
            rows = [
                row
                for pairs in args.pairs
                for row in measure(shape, args.implementations, pairs, args.rounds, args.threads, parent)
            ]
            keep(RESULTS, rows)


if __name__ == "__main__":
    main()
