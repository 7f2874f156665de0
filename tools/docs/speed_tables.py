"""Tables of measured speed, from the files that `make bench` writes to `results/bench/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from table_lines import line

Row = dict[str, Any]
Content = dict[str, Any]
PEER, HALF, LIMIT = "sentence-transformers", "sentence-transformers, bfloat16", "matrix products alone"
CACHED = "sentence-transformers, cached"


def speed_tables(folder: Path) -> str:
    """One section for each kind of work that was timed; a line that says so where none was."""
    makers = {
        "encode": _encoding,
        "compile": _compiled,
        "train": _training,
        "job": _jobs,
        "grid": _grids,
        "quantize": _quantized,
        "growth": _growth,
        "gpu": _gpu,
    }
    sections = []
    for name, make in makers.items():
        path = folder / f"{name}.json"
        if path.exists():
            content = json.loads(path.read_text(encoding="utf-8"))
            sections.append(f"{make(content)}\n\n{_machine(content['machine'])}")
    return "\n\n".join(sections) or "No timings are stored in this version."


def load_table(path: Path) -> str:
    """Requests in a second and slowest hundredth of each server, by number of clients."""
    if not path.exists():
        return "Not measured yet."
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    servers = {
        name: {(row["model"], row["texts"], row["clients"]): row for row in rows if row["server"] == name}
        for name in ("lastword", "minimal")
    }
    lines = [
        "| model | texts | clients | requests/s | minimal server | ratio | p99, ms | minimal server |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for key, ours in servers["lastword"].items():
        theirs = servers["minimal"][key]
        cells = (
            f"{ours['per_s']:,.0f}", f"{theirs['per_s']:,.0f}", f"{ours['per_s'] / theirs['per_s']:.1f}×",
            f"{ours['p99_ms']:,.0f}", f"{theirs['p99_ms']:,.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, (*key, *cells)))} |")
    return "\n".join(lines)


def _machine(facts: dict[str, Any]) -> str:
    instructions = ", ".join(facts["instructions"])
    where = facts["gpu"] or f"{facts['cores']} cores of {facts['cpu']} ({instructions})"
    return f"Measured on {where}, torch {facts['torch']}."


def _gpu(content: Content) -> str:
    shapes = {"small": "SmolLM-135M shape", "llama": "Llama-3.2-1B shape"}
    first = content["encoding"][0]["tokens_per_s"]
    lines = [line("real tokens per second", *first), line("---", *["---:"] * len(first))]
    for row in content["encoding"]:
        name = f"{shapes[row['shape']]}, {row['count']:,} {row['texts']} texts"
        lines.append(line(name, *(f"{rate:,}" for rate in row["tokens_per_s"].values())))
    parts = ["## On a GPU", "Bfloat16, random weights.", "\n".join(lines)]
    parts += [
        f"A training run of {row['steps']} steps of {row['pairs']} pairs, {shapes[row['shape']]}, recipe `paper`, "
        f"limited to {row['memory_gib']} GiB: {row['seconds']:.0f} s (forecast: {row['plan']['seconds']:.0f} s), "
        f"{row['peak_gib']} GiB at most."
        for row in content["training"]
    ]
    return "\n\n".join(parts)


def _encoding(content: Content) -> str:
    rows = content["rows"]
    parts = ["## Encoding", "Real tokens per second, the template's included and padding not; in brackets the "
             "multiple of sentence-transformers' default (float32, batch 32). The last column is what a user with "
             "1,000 titles waits for, libraries, model and warm-up included.",
             "![speed as a multiple of sentence-transformers' default](../assets/encode.svg)"]  # fmt: skip
    for shape in dict.fromkeys(row["shape"] for row in rows):
        own = [row for row in rows if row["shape"] == shape]
        kinds = list(dict.fromkeys(row["texts"] for row in own))
        base = {row["texts"]: row["tokens_per_s"] for row in own if row["implementation"] == PEER}
        lines = [
            line(
                "",
                *(f"{kind} texts" if kind != "ten" else "ten texts" for kind in kinds),
                "peak memory",
                "start-up",
                "1,000 titles",
            )
        ]
        lines.append(line("---", *["---:"] * (len(kinds) + 3)))
        for name in dict.fromkeys(row["implementation"] for row in own):
            mine = {row["texts"]: row for row in own if row["implementation"] == name}
            cells = [
                f"{mine[kind]['tokens_per_s']:,.0f} ({mine[kind]['tokens_per_s'] / base[kind]:.1f}×)"
                for kind in kinds
            ]
            last, short = mine[kinds[-1]], mine["short"]
            memory, startup = f"{last['peak_mib']:,} MiB", f"{last['startup_s']:.1f} s"
            waited = short["startup_s"] + short["first_s"] * 1000 / short["count"]
            lines.append(line(name, *cells, memory, startup, "–" if name == LIMIT else f"{waited:.1f} s"))
        parts += [f"### {shape}", "\n".join(lines)]
    return "\n\n".join(parts)


def _compiled(content: Content) -> str:
    """What compilation gains, and after how much work it has paid for its warm-up."""
    lines = [line("", "tokens/s", "compiled", "gain", "warm-up", "with the kept cache", "pays after, cold")]
    lines.append(line("---", *["---:"] * 6))
    for row in content["rows"]:
        usual, faster = row["tokens_per_s"], row["compiled_tokens_per_s"]
        saved = 1 / usual - 1 / faster
        pays = f"{row['cold_s'] / saved / 1e6:,.1f} M tokens" if saved > 0 else "never"
        lines.append(line(
            f"{row['shape']}, {row['texts']} texts", f"{usual:,.0f}", f"{faster:,.0f}", f"{faster / usual - 1:+.0%}",
            f"{max(row['cold_s'], 0):.1f} s", f"{max(row['warm_s'], 0):.1f} s", pays,
        ))  # fmt: skip
    return "\n\n".join([
        "### Compiled",
        "Norms, rotations and gates of the fused forward compiled to one kernel each by `torch.compile` with dynamic "
        "shapes: a prototype in `bench/compiled.py`, not part of lastword "
        "([why](../adr/0013-no-compilation.md)).",
        "\n".join(lines),
    ])  # fmt: skip


def _training(content: Content) -> str:
    rows = content["rows"]
    parts = ["## Training", "One optimizer step with LoRA of rank 64 at most 100 tokens long: seconds (median of the "
             "rounds), real tokens per second, and the multiple of sentence-transformers' cached loss."]  # fmt: skip
    for shape, pairs in dict.fromkeys((row["shape"], row["pairs"]) for row in rows):
        own = [row for row in rows if (row["shape"], row["pairs"]) == (shape, pairs)]
        base = next((row["tokens_per_s"] for row in own if row["implementation"] == CACHED), None)
        lines = [line("", "s per step", "tokens/s", "multiple", "peak memory"), line("---", *["---:"] * 4)]
        for row in own:
            multiple = f"{row['tokens_per_s'] / base:.1f}×" if base else "–"
            lines.append(line(
                row["implementation"], f"{row['seconds']['median']:.2f}", f"{row['tokens_per_s']:,.0f}", multiple,
                f"{row['peak_mib']:,} MiB",
            ))  # fmt: skip
        parts += [f"### {shape}, {pairs} pairs", "\n".join(lines)]
    return "\n\n".join(parts)


def _jobs(content: Content) -> str:
    rows = content["rows"]
    base = next(row["seconds"]["median"] for row in rows if row["implementation"] == PEER)
    lines = [line("", "seconds", "faster", "start-up", "peak memory"), line("---", *["---:"] * 4)]
    for row in rows:
        seconds = row["seconds"]["median"]
        lines.append(line(
            row["implementation"], f"{seconds:.0f}", f"{base / seconds:.1f}×", f"{row['startup_s']:.1f} s",
            f"{row['peak_mib']:,} MiB",
        ))  # fmt: skip
    return "\n\n".join([
        "## A whole job",
        f"The bundled model: load it, embed {rows[0]['texts']:,} texts, adapt it ({rows[0]['steps']} steps of "
        f"{rows[0]['pairs']} pairs, LoRA of rank 64), write it, load it again, embed the texts again. Start-up (the "
        "libraries' import) comes on top.",
        "\n".join(lines),
    ])  # fmt: skip


def _grids(content: Content) -> str:
    rows = content["rows"]
    kinds = list(dict.fromkeys((row["shape"], row["text_tokens"]) for row in rows))
    lines = [line("", *(f"{shape}, texts of {tokens} tokens" for shape, tokens in kinds))]
    lines.append(line("---", *["---:"] * len(kinds)))
    for what in dict.fromkeys(row["what"] for row in rows):
        cells = {(row["shape"], row["text_tokens"]): row for row in rows if row["what"] == what}
        lines.append(line(what, *(f"{cells[kind]['times_one_encoding']:.2f}" for kind in kinds)))
    return "\n\n".join(
        ["## Grids", "Time as a multiple of one encoding of the same texts.", "\n".join(lines)]
    )


def _quantized(content: Content) -> str:
    lines = [line("shape", "weights", "MiB of weights", "encoding", "training step", "peak in training")]
    lines.append(line("---", "---", *["---:"] * 4))
    speed = {(row["shape"], row["work"], row["weights"]): row for row in content["rows"]}
    for shape, name in dict.fromkeys((row["shape"], row["weights"]) for row in content["rows"]):
        cells = [
            f"{speed[shape, work, name]['tokens_per_s'] / speed[shape, work, 'full']['tokens_per_s']:.2f}×"
            for work in ("encode", "train")
        ]
        one = speed[shape, "train", name]
        lines.append(line(shape, name, f"{one['weights_mib']:,.0f}", *cells, f"{one['peak_mib']:,} MiB"))
    quality = [
        line("weights", "same neighbour as float32", "zero-shot", "adapted"),
        line("---", *["---:"] * 3),
    ]
    for row in content["quality"]:
        adapted = np.array(row["adapted"]) * 100
        quality.append(line(
            row["weights"], f"{row['same_neighbour']:.1%}", f"{100 * row['zero_shot']:.1f}",
            f"{adapted.mean():.1f} ± {adapted.std(ddof=1):.1f}",
        ))  # fmt: skip
    return "\n\n".join([
        "## Weights in 8 and 4 bits",
        "Speed as a multiple of full (bfloat16) weights of the same run.", "\n".join(lines),
        "Quality on the bundled model: the share of 2,000 real titles that keep their nearest neighbour, and V-measure "
        "on the development texts (mean of topics and products) before and after a training run over such weights.",
        "\n".join(quality),
    ])  # fmt: skip


def _growth(content: Content) -> str:
    rows = content["rows"]
    parts = ["## As the work grows", "![time and memory against size](../assets/growth.svg)"]
    for what in dict.fromkeys(row["what"] for row in rows):
        own = [row for row in rows if row["what"] == what]
        lines = [line(what, "seconds", "tokens/s", "peak memory"), line(*["---:"] * 4)]
        for row in own:
            speed = f"{row['tokens'] / row['seconds']:,.0f}"
            lines.append(line(f"{row['size']:,}", f"{row['seconds']:.1f}", speed, f"{row['peak_mib']:,} MiB"))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
