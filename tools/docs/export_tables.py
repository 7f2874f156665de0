"""Exported graphs beside torch, and the faults that `lastword check` was tried with."""

from __future__ import annotations

import json
from pathlib import Path


def fault_table(path: Path) -> str:
    """One row for each fault."""
    if not path.exists():
        return "Not measured yet."
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    planted = [row for row in rows if "expected" in row]
    right = [row for row in rows if "passed" in row]
    lines = ["| where | fault | named | least cosine |", "|---|---|---|---|"]
    for row in planted:
        named = row["causes"][0] if row["causes"] else "nothing"
        shown = named if row["named"] else f"{named} (not as expected)"
        lines.append(f"| {row['where']} | {row['fault']} | {shown} | {row['least']:.4f} |")
    caught, named_count = sum(row["caught"] for row in planted), sum(row["named"] for row in planted)
    summary = (
        f"{caught} of {len(planted)} faults were caught and {named_count} named as planted; "
        f"{sum(row['passed'] for row in right)} of {len(right)} models and servers without a fault passed."
    )
    return "\n".join([*lines, "", summary])


def speed_table(path: Path) -> str:
    """One row for each runtime of a model."""
    if not path.exists():
        return "Not measured yet."
    lines = [
        "| model | runtime | MB | speed | least cosine | same neighbours | V-measure |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for model, rows in json.loads(path.read_text(encoding="utf-8")).items():
        for row in rows:
            if "refused" in row:
                lines.append(
                    f"| {model} | {row['runtime']} | | refused: {row['refused'].partition(' (')[0]} | | | |"
                )
                continue
            size = f"{row['bytes'] / 1e6:,.0f}" if row["bytes"] else ""
            lines.append(
                f"| {model} | {row['runtime']} | {size} | {row['speed']:.2f}× | {row['cosine']:.4f} | "
                f"{100 * row['neighbours']:.1f} % | {100 * row['v_measure']:.1f} |"
            )
    return "\n".join(lines)
