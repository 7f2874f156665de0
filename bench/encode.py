"""Encoding speed: lastword, sentence-transformers, the paper's loop and the limit, in interleaved rounds.

    python bench/encode.py                       # writes results/bench/encode.json
    python bench/encode.py --quick               # the bundled model alone; fails below a bar

Real tokens count, padding does not. Numbers of other machines or other runs do not compare; ratios of
one run do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import texts
from charts import colours, pyplot
from implementations import IMPLEMENTATIONS, LIMIT
from lastword import Embedder
from rounds import interleaved, keep, spread, workers
from shapes import SHAPES, folder_of

ROOT = Path(__file__).parents[1]
RESULTS, PLOT = ROOT / "results" / "bench" / "encode.json", ROOT / "docs" / "assets" / "encode.svg"
REFERENCE, HALF = "sentence-transformers", "sentence-transformers, bfloat16"
DEFAULT = [
    name for name in IMPLEMENTATIONS if name not in ("lastword, int8", "lastword, nf4", "lastword, compiled")
]  # quantize.py and compile.py have these
# Least ratios that `--quick` accepts, of medians: (implementation, other, kind of texts) → ratio.
BARS = {
    ("lastword", HALF, "short"): 1.2,
    ("lastword", REFERENCE, "short"): 2.0,
    ("lastword", HALF, "ten"): 1.0,
}


def requests(embedder: Embedder, shape: str, kinds: list[str], parent: Path) -> dict[str, dict[str, Any]]:
    """A file of texts for each kind, and its number of real tokens."""
    texts_of_kind = {"ten": texts.read("short", 10)}
    texts_of_kind |= {kind: texts.with_tokens(kind, SHAPES[shape].tokens) for kind in kinds}
    found = {}
    for kind, some in texts_of_kind.items():
        path = parent / f"{shape}-{kind}.json"
        path.write_text(json.dumps(some), encoding="utf-8")
        found[kind] = {
            "texts": str(path),
            "tokens": sum(map(len, embedder.pipeline.tokenize(some).ids)),
            "count": len(some),
        }
    return found


def measure(
    shape: str, names: list[str], kinds: list[str], rounds: int, threads: int, parent: Path
) -> list[dict[str, Any]]:
    """One row for each kind of texts and implementation."""
    folder = folder_of(shape, parent)
    requests_of_kind = requests(Embedder.from_pretrained(folder, device="cpu"), shape, kinds, parent)
    rows = []
    with workers("encode", names, folder, threads) as implementations:
        first = {name: worker.seconds(requests_of_kind[kinds[0]]) for name, worker in implementations.items()}
        for kind, request in requests_of_kind.items():
            many = rounds * 5 if kind == "ten" and shape == "mini" else rounds  # a tenth of a second each
            seconds = interleaved(implementations, request, many)
            for name, values in seconds.items():
                rows.append({
                    "shape": shape, "texts": kind, "implementation": name, "count": request["count"],
                    "tokens": request["tokens"], "threads": threads, "seconds": spread(values), "rounds": many,
                    "tokens_per_s": request["tokens"] / statistics.median(values),
                    "startup_s": implementations[name].startup_s, "first_s": first[name],
                    "peak_mib": implementations[name].peak_mib,
                })  # fmt: skip
                print(f"{shape:6} {kind:6} {name:44} {rows[-1]['tokens_per_s']:>10,.0f} tokens/s", flush=True)
    return rows


def below_bar(rows: list[dict[str, Any]]) -> list[str]:
    speed = {(row["implementation"], row["texts"]): row["tokens_per_s"] for row in rows}
    return [
        f"{one} on {kind} texts: {speed[one, kind] / speed[other, kind]:.2f} times {other}; the bar is {bar}"
        for (one, other, kind), bar in BARS.items()
        if speed[one, kind] < bar * speed[other, kind]
    ]


def plot(rows: list[dict[str, Any]]) -> None:
    """Bars: tokens a second as a multiple of sentence-transformers' default, a panel for each model."""
    named = colours()
    rows = [row for row in rows if row["texts"] != "ten"]
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    kinds, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("texts", "implementation"))
    speed = {(row["shape"], row["texts"], row["implementation"]): row["tokens_per_s"] for row in rows}
    figure, axes = pyplot().subplots(
        1, len(shapes), figsize=(2.6 + 3.0 * len(shapes), 0.8 + 0.42 * len(names)), sharey=True, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axis, shape in zip(axes[0], shapes, strict=True):
        for turn, (kind, color) in enumerate(
            zip(kinds, (named["accent"], named["c1"], named["grey"]), strict=False)
        ):
            own = [name for name in names if (shape, kind, name) in speed]
            multiples = [speed[shape, kind, name] / speed[shape, kind, REFERENCE] for name in own]
            places = [names.index(name) + 0.27 * (turn - 1) for name in own]
            axis.barh(places, multiples, height=0.25, color=color, label=f"{kind} texts")
        axis.axvline(1, color=named["grey-deep"], linewidth=0.8)
        axis.set(title=SHAPES[shape].name, xlabel="times sentence-transformers' default")
        axis.set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    axes[0][-1].legend(loc="center right", fontsize=8, frameon=False)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["mini", "small", "qwen"])
    parser.add_argument("--kinds", nargs="+", choices=texts.KINDS, default=list(texts.KINDS))
    parser.add_argument("--implementations", nargs="+", choices=IMPLEMENTATIONS, default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=Path, help="keep the models' folders here for another run")
    parser.add_argument("--quick", action="store_true", help="the bundled model, short texts, and the bars")
    args = parser.parse_args()
    if args.quick:
        args.shapes, args.kinds, args.implementations = (
            ["mini"],
            ["short"],
            ["lastword", REFERENCE, HALF, LIMIT],
        )
    with tempfile.TemporaryDirectory() as temporary:
        parent = args.models or Path(temporary)
        for shape in args.shapes:
            rows = measure(shape, args.implementations, args.kinds, args.rounds, args.threads, parent)
            if not args.quick:
                plot(keep(RESULTS, rows))
    if args.quick:
        problems = below_bar(rows)
        sys.exit("\n".join(problems) if problems else 0)


if __name__ == "__main__":
    main()
