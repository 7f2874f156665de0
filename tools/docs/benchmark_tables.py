"""Tables about benchmarks: scores, which files stand in for the Hub, how fast vectors are kept."""

from __future__ import annotations

import json
from pathlib import Path

from score_tables import NONE, read, score_table

from lastword.evaluation.benchmark.copies import TABLES


def benchmark_tables(path: Path) -> str:
    """The scores, and how the local copies compare with mteb's statistics."""
    content = read(path)
    if content is None:
        return NONE
    verdicts = {row["dataset"]: row["texts"] for row in content["rows"] if "texts" in row}
    equal = [name for name, verdict in verdicts.items() if verdict.startswith("equal")]
    parts = [score_table(path), f"The texts of {_listed(equal)} are equal to mteb's statistics."]
    parts += [f"{name}: {verdict}." for name, verdict in verdicts.items() if name not in equal]
    return "\n\n".join(parts)


def copies_table() -> str:
    """Task → the other name of its table, and its labels."""
    lines = ["| task | or | labels |", "|---|---|---|"]
    for task, form in TABLES.items():
        subset = f" (subset `{form.subset}` only)" if form.subset else ""
        labels = ", ".join(form.labels) or "any; coded in alphabetical order"
        lines.append(f"| `{task}`{subset} | `{form.known}` | {labels} |")
    return "\n".join(lines)


def rates_table(path: Path) -> str:
    """Vectors per second by width."""
    if not path.exists():
        return NONE
    content = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        f"Measured with {content['vectors']:,} vectors in batches of {content['batch']}:",
        "",
        "| dimensions | stored per second | read per second | size of the file over that of the vectors |",
        "|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['dim']:,} | {row['kept_per_s']:,.0f} | {row['found_per_s']:,.0f} | {row['bytes_over_vectors']:.2f} |"
        for row in content["rows"]
    ]
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)
