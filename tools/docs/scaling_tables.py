"""What `lastword embed` costs, measured, and what follows for a billion texts by arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

BILLION = 10**9
CORES = (1, 64, 1024)
PRICE = 0.05  # of an hour of a core, in the arithmetic
STORAGE = 0.02  # of a gigabyte for a month
NUMBER_BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 1 / 8}
STUDENTS = {"teacher": "`mini`, 8 layers", "shallow": "its shallow student", "static": "its static student"}


def scaling_tables(path: Path, students: Path) -> str:
    """Tables of what is measured, and of the arithmetic; a line that says so where nothing is.

    Args:
        path: what `tools/results/embed_scaling.py` wrote.
        students: what `tools/results/distill.py` wrote.
    """
    if not path.exists():
        return "No measurements are stored in this version."
    content = json.loads(path.read_text(encoding="utf-8"))
    makers = (("memory", _memory), ("formats", _formats), ("workers", _workers), ("pipeline", _pipeline))
    parts = [make(content[name]) for name, make in makers if name in content]
    if students.exists():
        corpora = json.loads(students.read_text(encoding="utf-8"))["corpora"]
        parts.append(_billion(corpora, content.get("pipeline")))
    parts.append(_bytes_of_a_billion())
    facts = content["machine"]
    return "\n\n".join(
        [*parts, f"Measured on {facts['cores']} cores of {facts['cpu']}, torch {facts['torch']}."]
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def _memory(rows: list[dict[str, Any]]) -> str:
    cells = [
        [f"{row['texts']:,}", f"{row['peak_mib']:,.0f} MiB", f"{row['store_bytes'] / row['texts']:,.0f}"]
        for row in rows
    ]
    return "**Measured: memory**, with a decoder of one tiny layer.\n\n" + _table(
        ["texts", "peak memory of the process", "bytes of the store for each row"], cells
    )


def _formats(rows: list[dict[str, Any]]) -> str:
    cells = [
        [
            f"`{row['dtype']}`",
            f"{row['bytes']:,}",
            f"{row['shared_of_ten_neighbours']:.2f}",
            _bytes(row["bytes"] * BILLION),
        ]
        for row in rows
    ]
    return (
        f"**Measured: types of vectors**, `mini`, {rows[0]['dim']} dimensions, {rows[0]['texts']:,} texts.\n\n"
        + _table(
            ["type", "bytes of a vector", "of the ten nearest texts, kept", "a billion vectors (arithmetic)"],
            cells,
        )
    )


def _workers(rows: list[dict[str, Any]]) -> str:
    cells = [[row["engine"], str(row["workers"]), f"{row['tokens_per_s']:,.0f}"] for row in rows]
    return "**Measured: tokens per second** of `mini`, start-up included.\n\n" + _table(
        ["engine", "workers", "tokens per second"], cells
    )


def _pipeline(facts: dict[str, Any]) -> str:
    return (
        f"**Measured: reading and writing** alone, with vectors that cost nothing: {facts['rows_per_s']:,.0f} rows per "
        f"second ({facts['dim']} dimensions, CSV)."
    )


def _billion(corpora: dict[str, Any], pipeline: dict[str, float] | None) -> str:
    """Hours and money from measured texts per second of a core."""
    rates = {
        model: median(
            facts["models"][model]["texts_per_second"]
            for facts in corpora.values()
            if model in facts["models"]
        )
        for model in STUDENTS
    }
    cells = []
    for model, rate in rates.items():
        hours = BILLION / rate / 3600
        cells.append([
            STUDENTS[model], f"{rate:,.0f}", *(f"{hours / cores:,.1f}" for cores in CORES), f"{hours * PRICE:,.0f}",
        ])  # fmt: skip
    text = (
        "**Arithmetic: a billion texts.** Texts per second of one core are measured: the median over the corpora of "
        "[the students](distill-a-model.md#what-is-kept-measured). Hours = 10⁹ ÷ (texts per second × cores) ÷ 3,600, "
        "if cores do not wait for each other; money = hours of one core × price. The price of an hour of a core, "
        f"{PRICE}, is an assumption: multiply the last column by yours ÷ {PRICE}.\n\n"
    ) + _table(
        [
            "model",
            "texts/s of a core",
            *(f"hours, cores: {cores:,}" for cores in CORES),
            f"money at {PRICE}",
        ],
        cells,
    )
    if pipeline:
        most = {model: pipeline["rows_per_s"] / rate for model, rate in rates.items()}
        text += (
            "\n\nWhere the bottleneck moves: one process reads and writes for all workers, "
            f"{pipeline['rows_per_s']:,.0f} "
            f"rows per second as measured above. That keeps {most['teacher']:,.0f} cores busy with the model, "
            f"{most['shallow']:,.0f} with its shallow student and {most['static']:,.1f} with its static one. With more "
            "cores than that, cut the files into groups and run one `lastword embed` for each: with a static student, "
            "reading and writing are the larger part of the work."
        )
    return text


def _bytes_of_a_billion() -> str:
    cells = [
        [f"`{dtype}`", f"{256 * size:,.0f}", _bytes(256 * size * BILLION), f"{256 * size * STORAGE:,.0f}"]
        for dtype, size in NUMBER_BYTES.items()
    ]
    return (
        "**Arithmetic: the vectors of a billion texts**, 256 dimensions, without the other columns. Money for a month "
        f"= gigabytes × {STORAGE}, an assumption too.\n\n"
    ) + _table(["type", "bytes of a vector", "a billion vectors", f"a month at {STORAGE}"], cells)


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.0f} GB" if count < 1e12 else f"{count / 1e12:,.1f} TB"
