"""Time and memory as the work grows: texts, their length, pairs of a step, templates, size of the model.

    python bench/growth.py                       # writes results/bench/growth.json and the plot

Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import lzma
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import texts
from contestants import TEMPLATES
from lastword import Embedder
from rounds import machine, workers
from shapes import SHAPES, folder_of
from train import request as pairs_request

ROOT = Path(__file__).parents[1]
RESULTS, PLOT = ROOT / "results" / "bench" / "growth.json", ROOT / "docs" / "assets" / "growth.svg"
COUNTS, PAIRS = (1_000, 10_000, 100_000, 1_000_000), (30, 60, 120, 250, 500)
LENGTHS = (16, 64, 256, 1024, 2048)
WORDS = 5  # of each of a million texts: more would take half an hour and show the same line


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


def timed(kind: str, name: str, folder: Path, threads: int, request: dict[str, Any]) -> dict[str, Any]:
    with workers(kind, [name], folder, threads) as one:
        seconds = one[name].seconds(request)
        return {"seconds": seconds, "peak_mib": one[name].peak_mib, "tokens": request["tokens"]}


def measure(most: int, threads: int, parent: Path) -> Iterator[dict[str, Any]]:
    mini = folder_of("mini", parent)
    embedder = Embedder.from_pretrained(mini, device="cpu")

    def saved(name: str, given: list[str], reader: Embedder = embedder) -> dict[str, Any]:
        path = parent / f"{name}.json"
        path.write_text(json.dumps(given), encoding="utf-8")
        return {"texts": str(path), "tokens": sum(map(len, reader.tokenize(given).ids))}

    for count in (count for count in COUNTS if count <= most):
        row = timed("encode", "lastword", mini, threads, saved("count", sentences(count)))
        yield {"what": "number of texts", "size": count, **row}
    small = folder_of("small", parent, max_tokens=max(LENGTHS))  # the bundled model has 512 positions
    long = Embedder.from_pretrained(small, device="cpu")
    for length in LENGTHS:
        given = saved("length", of_length(embedder, length, 8_192), long)
        row = timed("encode", "lastword", small, threads, given)
        yield {"what": "tokens of a text (135M shape)", "size": length, **row}
    for pairs in PAIRS:
        row = timed("train", "lastword", mini, threads, pairs_request(embedder, pairs, parent))
        yield {"what": "pairs of a step", "size": pairs, **row}
    some = saved("templates", texts.read("short", 1_000))
    for count in TEMPLATES:
        row = timed("grid", f"{count} templates", mini, threads, some)
        yield {"what": "templates that begin alike", "size": count, **row}
    for shape in SHAPES:
        if shape != "llama":
            folder = folder_of(shape, parent)
            parameters = sum(p.numel() for p in Embedder.from_pretrained(folder).backbone.model.parameters())
            row = timed(
                "encode", "lastword", folder, threads, saved("shape", texts.with_tokens("short", 6000))
            )
            yield {"what": "weights of the model", "size": parameters, **row}


def plot(rows: list[dict[str, Any]]) -> None:
    """One picture for each kind of growth: seconds on the left axis, memory on the right."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(row["what"] for row in rows))
    figure, axes = plt.subplots(1, len(kinds), figsize=(3.6 * len(kinds), 3.0), layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        own = [row for row in rows if row["what"] == kind]
        sizes = [row["size"] for row in own]
        axis.loglog(sizes, [row["seconds"] for row in own], "o-", color="#2563eb")
        axis.set(xlabel=kind, ylabel="seconds")
        memory = axis.twinx()
        memory.semilogx(sizes, [row["peak_mib"] / 1024 for row in own], "s--", color="#d97706")
        memory.set(ylabel="GiB", ylim=(0, None))
    figure.suptitle("time (solid) and peak memory (dashed)", fontsize=10)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most-texts", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for row in measure(args.most_texts, args.threads, Path(temporary)):
            print(json.dumps(row), flush=True)
            rows.append(row)
            RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    plot(rows)


if __name__ == "__main__":
    main()
