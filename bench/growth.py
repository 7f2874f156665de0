"""Time and memory as the work grows: texts, their length, pairs of a step, templates, size of the model.

    python bench/growth.py                       # writes results/bench/growth.json and the plot
    python bench/growth.py --only "pairs of a step"    # measures that again; the other rows stay

Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import lzma
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import texts
from charts import colours, pyplot
from implementations import TEMPLATES
from lastword import Embedder
from rounds import machine, workers
from shapes import SHAPES, folder_of
from train import request as pairs_request

ROOT = Path(__file__).parents[1]
RESULTS, PLOT = ROOT / "results" / "bench" / "growth.json", ROOT / "docs" / "assets" / "growth.svg"
COUNTS, PAIRS = (1_000, 10_000, 100_000, 1_000_000), (30, 60, 120, 250, 500)
LENGTHS = (16, 64, 256, 1024, 2048)
WORDS = 5  # of each of a million texts: more would take half an hour and show the same line
Row = tuple[int, dict[str, Any]]
"""Size, and what it took."""


def sentences(count: int) -> list[str]:
    """Distinct beginnings of sentences, a few words each; beyond those there are, the same with a number in front."""
    with lzma.open(
        texts.data_folder() / "text" / "wiki_sentences_200k.txt.xz", "rt", encoding="utf-8"
    ) as file:
        some = list(dict.fromkeys(" ".join(line.split()[:WORDS]) for line in file if line.strip()))
    rounds, rest = divmod(count, len(some))
    numbered = [f"{turn} {text}" for turn in range(1, rounds) for text in some]
    return (some[:count] + numbered + [f"{rounds} {text}" for text in some[:rest]])[:count]


def of_length(embedder: Embedder, tokens: int, total: int) -> list[str]:
    """Beginnings of abstracts run together, each of about `tokens` tokens, `total` tokens in all."""
    words = " ".join(texts.read("long", 3000)).split()
    per_text = max(4, int(tokens / 1.45))
    return [" ".join(words[i * per_text : (i + 1) * per_text]) for i in range(max(1, total // tokens))]


@dataclass(frozen=True)
class Bench:
    """What every kind of growth is measured with."""

    threads: int
    parent: Path
    mini: Path
    embedder: Embedder

    def saved(self, inputs: list[str], reader: Embedder | None = None) -> dict[str, Any]:
        path = self.parent / "texts.json"
        path.write_text(json.dumps(inputs), encoding="utf-8")
        return {
            "texts": str(path),
            "tokens": sum(map(len, (reader or self.embedder).pipeline.tokenize(inputs).ids)),
        }

    def timed(self, kind: str, name: str, folder: Path, request: dict[str, Any]) -> dict[str, Any]:
        with workers(kind, [name], folder, self.threads) as one:
            seconds = one[name].seconds(request)
            return {"seconds": seconds, "peak_mib": one[name].peak_mib, "tokens": request["tokens"]}


def by_count(bench: Bench) -> Iterator[Row]:
    for count in COUNTS:
        yield count, bench.timed("encode", "lastword", bench.mini, bench.saved(sentences(count)))


def by_length(bench: Bench) -> Iterator[Row]:
    small = folder_of("small", bench.parent, max_tokens=max(LENGTHS))  # the bundled model has 512 positions
    reader = Embedder.from_pretrained(small, device="cpu")
    for length in LENGTHS:
        inputs = bench.saved(of_length(bench.embedder, length, 8_192), reader)
        yield length, bench.timed("encode", "lastword", small, inputs)


def by_pairs(bench: Bench) -> Iterator[Row]:
    for pairs in PAIRS:
        inputs = pairs_request(bench.embedder, pairs, bench.parent)
        yield pairs, bench.timed("train", "lastword", bench.mini, inputs)


def by_templates(bench: Bench) -> Iterator[Row]:
    some = bench.saved(texts.read("short", 1_000))
    for count in TEMPLATES:
        yield count, bench.timed("grid", f"{count} templates", bench.mini, some)


def by_size(bench: Bench) -> Iterator[Row]:
    for shape in (one for one in SHAPES if one != "llama"):
        folder = folder_of(shape, bench.parent)
        parameters = sum(p.numel() for p in Embedder.from_pretrained(folder).backbone.model.parameters())
        inputs = bench.saved(texts.with_tokens("short", 6000))
        yield parameters, bench.timed("encode", "lastword", folder, inputs)


KINDS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "number of texts": by_count,
    "tokens of a text (135M shape)": by_length,
    "pairs of a step": by_pairs,
    "templates that begin alike": by_templates,
    "weights of the model": by_size,
}


def plot(rows: list[dict[str, Any]]) -> None:
    """One picture for each kind of growth: time on the left axis, memory on the right."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    named = colours()

    kinds = list(dict.fromkeys(row["what"] for row in rows))
    figure, axes = pyplot().subplots(1, len(kinds), figsize=(3.6 * len(kinds), 3.0), layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        own = [row for row in rows if row["what"] == kind]
        sizes = [row["size"] for row in own]
        # Texts of these lengths do not add up to the same number of tokens.
        per_token = kind.startswith("tokens")
        time = [1000 * row["seconds"] / row["tokens"] if per_token else row["seconds"] for row in own]
        axis.loglog(sizes, time, "o-", color=named["accent"])
        axis.set(xlabel=kind, ylabel="ms per token" if per_token else "seconds")
        brief = EngFormatter(sep="", places=0)
        axis.set_xticks(sizes, [brief(size) if size >= 10_000 else str(size) for size in sizes], fontsize=8)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter("{x:g}")
        memory = axis.twinx()
        gib = [row["peak_mib"] / 1024 for row in own]
        memory.plot(sizes, gib, "s--", color=named["c1"])
        memory.set(ylabel="GiB", ylim=(0, 1.15 * max(gib)))
    figure.suptitle("time (solid) and peak memory (dashed)", fontsize=10)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def stored_rows(only: list[str]) -> list[dict[str, Any]]:
    """The rows that are not measured again."""
    before = json.loads(RESULTS.read_text())["rows"] if only and RESULTS.exists() else []
    return [row for row in before if row["what"] not in only]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], choices=KINDS, metavar="WHAT", help=", ".join(KINDS))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    rows = stored_rows(args.only)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        parent = Path(temporary)
        mini = folder_of("mini", parent)
        bench = Bench(args.threads, parent, mini, Embedder.from_pretrained(mini, device="cpu"))
        for kind in args.only or KINDS:
            for size, facts in KINDS[kind](bench):
                rows.append({"what": kind, "size": size, **facts})
                print(json.dumps(rows[-1]), flush=True)
                ordered = sorted(rows, key=lambda row: (list(KINDS).index(row["what"]), row["size"]))
                RESULTS.write_text(json.dumps({"machine": machine(), "rows": ordered}, indent=1) + "\n")
    plot(ordered)


if __name__ == "__main__":
    main()
