"""The scores of the demo as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
_TITLES = ("model", "template", "pooling", "V-measure")


def scores_table(rows: Sequence[Row]) -> str:
    """One block for each data set, best score first.

    Args:
        rows: with dataset, split, model, template, pooling, v_measure and std (both 0 … 1).
    """
    blocks = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        own = sorted((row for row in rows if row["dataset"] == dataset), key=lambda row: -row["v_measure"])
        cells = [_TITLES, *(_cells(row) for row in own)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(_TITLES))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells
        ]
        blocks.append(
            "\n".join([f"{dataset} ({own[0]['split']})", *(f"  {line.rstrip()}" for line in lines)])
        )
    return "\n\n".join(blocks)


def _cells(row: Row) -> tuple[str, str, str, str]:
    score = f"{100 * row['v_measure']:.1f} ± {100 * row['std']:.1f}"
    return row["model"], row["template"] or "", row["pooling"] or "", score
