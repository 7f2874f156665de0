"""The faults that `lastword check` was tried with, and what it named."""

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
