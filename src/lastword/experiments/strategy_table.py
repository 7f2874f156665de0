"""A comparison of strategies as text: differences to the base of each, time and memory."""

from __future__ import annotations

from lastword.experiments.strategy_result import StrategyComparison, StrategyRow
from lastword.report.table import aligned, percent, with_interval


def strategy_table(result: StrategyComparison) -> str:
    """V-measures × 100: a line for each strategy under the base that it is compared with."""
    sets = list(dict.fromkeys(name for row in result.rows for name in row.sets))
    heading = ["strategy", "mean", *sets, "to the base [95 %]", "", "ms per text", "training s", "MiB"]
    lines = [heading, *(_line(row, sets) for row in result.rows)]
    return f"{aligned(lines)}\n\n{NOTE}"


NOTE = (
    "V-measure × 100, higher is better. The base before training has the recipe's template, pooling and layer; the "
    "trained base is what the recipe makes of it. Differences are paired; without training they have one model on "
    "each side, and their interval is that of other texts. Of many strategies some differ by chance. MiB: peak of "
    "the process, loading and training included."
)


def _line(row: StrategyRow, sets: list[str]) -> list[str]:
    name = row.name if row.group == "base" else f"  {row.name}"
    return [
        name,
        percent(row.summary.value if row.summary else None),
        *(percent(row.sets.get(name)) for name in sets),
        with_interval(row.difference, missing=""),
        row.verdict,
        *costs(row),
    ]


def costs(row: StrategyRow) -> list[str]:
    """Milliseconds per text, seconds of training and MiB, empty where they are not known."""
    values = ((row.ms_per_text, 2), (row.training_seconds, 0), (row.peak_memory_mb, 0))
    return ["" if value is None else f"{value:,.{digits}f}" for value, digits in values]
