"""Tables about models: the architectures of results/zoo.json, and what models of several sizes cost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

NONE = "Not measured in this version."
_CHECKS = ("alone", "fused", "saves", "cuts", "trains")


def supported_table(path: Path) -> str:
    """A row for each architecture that embeds: forward path, attention, saved folder, and what training adapts."""
    if not path.exists():
        return NONE
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in content["models"] if row.get("loads") == "yes"]
    complete = sum(all(row.get(check, "yes") == "yes" for check in _CHECKS) for row in rows)
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    lines = [
        f"{len(rows)} of {len(content['models'])} architectures embed, {complete} of them without any restriction",
        f"({versions}).",
        "",
        "| model type | forward path | attention | adapted in training | restriction |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        adapted = ", ".join(f"`{name}`" for name in row.get("adapted", {})) or "–"
        lines.append(
            f"| `{row['type']}` | {row['path']} | {row['attention']} | {adapted} | {_restriction(row)} |"
        )
    return "\n".join(lines)


def refused_table(path: Path) -> str:
    """A row for each reason: the architectures that are refused for it, or that could not be tried."""
    if not path.exists():
        return NONE
    types: dict[tuple[str, str], list[str]] = {}
    for row in json.loads(path.read_text(encoding="utf-8"))["models"]:
        if row["made"] != "yes":
            types.setdefault(("not tried", f"no tiny model: {_plain(row['made'])}"), []).append(row["type"])
        elif row["loads"] != "yes":
            types.setdefault(("refused", _plain(row["loads"])), []).append(row["type"])
    lines = ["| | reason | model types |", "|---|---|---|"]
    for (verdict, reason), names in sorted(
        types.items(), key=lambda item: (item[0][0] != "refused", -len(item[1]))
    ):
        lines.append(f"| {verdict} | {reason} | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines)


def choice_table(path: Path) -> str:
    """A row for each model: size, licence, and what `lastword plan` says of its memory and time."""
    if not path.exists():
        return NONE
    content = json.loads(path.read_text(encoding="utf-8"))
    (small,) = (row for row in content["models"] if row["name"] == "smollm2")
    lines = [
        "| `--model` | weights | licence | embedding: time | training: time | memory, CPU | memory, GPU |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for row in content["models"]:
        times = (row[work]["seconds"] / small[work]["seconds"] for work in ("embedding", "training"))
        memory = (row[work]["memory"]["peak"] / 2**30 for work in ("training", "training, GPU"))
        cells = [
            f"`{row['name']}`",
            f"{row['training']['parameters'] / 1e6:,.0f} M",
            row["licence"],
            *(f"{ratio:.1f}×" for ratio in times),
            *(f"{gib:.1f} GiB" for gib in memory),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _restriction(row: dict[str, Any]) -> str:
    reasons = {check: _plain(row[check]) for check in _CHECKS if row.get(check, "yes") != "yes"}
    if reasons.get("trains") == reasons.get("saves"):
        reasons.pop("trains", None)  # a run ends in a saved folder
    words = {"alone": "in a batch", "fused": "fused", "saves": "saved", "cuts": "cut", "trains": "trained"}
    return "; ".join(f"{words[check]}: {reason}" for check, reason in reasons.items()) or "–"


def _plain(reason: str) -> str:
    """A reason without what differs from model to model, fit for a cell of a table."""
    reason = re.sub(r"^MODEL( \([\w-]+\))?:? ", "", reason)
    reason = re.sub(r"'?/\S*partial'?", "the folder", reason).replace("|", "\\|").replace("<", "&lt;")
    return reason if len(reason) < 160 else f"{reason[:160].rsplit(' ', 1)[0]} …"
