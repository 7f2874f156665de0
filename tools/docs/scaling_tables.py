"""What `lastword embed` costs, measured, and what follows for a billion texts by arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BILLION = 10**9
TOKENS = 20  # of a text, in the arithmetic
WORKERS = (1, 16, 256)
PRICE = 0.05  # of an hour of a worker, in the arithmetic


def scaling_tables(path: Path) -> str:
    """Tables of what is measured, and of the arithmetic; a line that says so where nothing is."""
    if not path.exists():
        return "No measurements are stored in this version."
    content = json.loads(path.read_text(encoding="utf-8"))
    makers = (("memory", _memory), ("formats", _formats), ("workers", _workers), ("pipeline", _pipeline))
    parts = [make(content[name]) for name, make in makers if name in content]
    if "workers" in content and "formats" in content:
        parts.append(_billion(content))
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


def _billion(content: dict[str, Any]) -> str:
    rate = content["workers"][0]["tokens_per_s"]
    cells = []
    for count in WORKERS:
        hours = BILLION * TOKENS / (rate * count) / 3600
        cells.append([str(count), f"{hours:,.0f}", f"{hours * count * PRICE:,.0f}"])
    text = (
        f"**Arithmetic: a billion texts of {TOKENS} tokens**, if workers like the first row above do not wait for each "
        f"other. The price is {PRICE} for an hour of a worker: put in your own.\n\n"
    ) + _table(["workers", "hours", "money"], cells)
    if "pipeline" in content:
        most = content["pipeline"]["rows_per_s"] * TOKENS / rate
        text += (
            f"\n\nOne process reads and writes for all workers. By the figures above it keeps about {most:,.0f} such "
            "workers busy; beyond that, cut the files into groups and run one `lastword embed` for each."
        )
    return text


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.0f} GB" if count < 1e12 else f"{count / 1e12:,.1f} TB"
