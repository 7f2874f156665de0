"""A comparison of strategies as one self-contained HTML file: an interval for each strategy, then the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lastword.experiments.strategy_result import StrategyComparison, StrategyRow
from lastword.experiments.strategy_table import NOTE, costs
from lastword.report.markup import Markup, tag
from lastword.report.page import page, section
from lastword.report.svg import inline
from lastword.report.table import percent, with_interval

ROW, TOP, PLOT, RIGHT, LETTER = 24.0, 20.0, 420.0, 24.0, 6.7
_STYLE = """
.intervals { font-size: 12px; } .intervals .known { stroke: var(--muted); stroke-width: 2; }
.intervals .better { stroke: var(--accent); } .intervals .worse { stroke: var(--c1); }
.intervals .zero { stroke: var(--ink); } .intervals circle { fill: var(--ink); }
.intervals .group { font-weight: 600; } td.figure, th.figure { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; } .wide table { width: 100%; }
.wide td, .wide th { padding-right: 14px; white-space: nowrap; }
.wide td:nth-child(4) { white-space: normal; min-width: 11em; }
"""


def render(result: StrategyComparison) -> str:
    """The page as a string; the same result gives the same page."""
    rows = result.rows
    model = str(result.settings["model"])
    title = f"Strategies compared on {model}"
    parts = [tag("header", tag("p", "lastword compare-strategies", class_="eyebrow"), tag("h1", title))]
    compared = [row for row in rows if row.difference]
    if compared:
        parts.append(section("differences", "Difference to the base", forest(compared)))
    parts.append(section("figures", "Figures", _table(rows), tag("p", NOTE, class_="note")))
    return page(title, tag("main", *parts), style=_STYLE)


def forest(rows: Sequence[StrategyRow]) -> Markup:
    """The difference of each strategy to its base with its 95 % interval, by group.

    Args:
        rows: with a difference each.
    """
    spans = [span for row in rows for span in _span(row) if math.isfinite(span)]
    low, high = math.floor(min(0.0, *spans)) - 1, math.ceil(max(0.0, *spans)) + 1
    left = 30 + LETTER * max(len(row.name) for row in rows)
    step = max(1, (high - low) // 8)

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * PLOT

    marks, y, group = list[Markup](), TOP, ""
    for row in rows:
        if row.group != group:
            group, y = row.group, y + ROW
            marks.append(tag("text", group, x=8, y=y, class_="group"))
        y += ROW
        start, end = map(x, _span(row))
        middle = x(100 * row.difference.value) if row.difference else start
        marks.append(tag("text", row.name, x=18, y=y))
        kind = row.verdict if row.verdict in ("better", "worse") else ""
        marks.append(tag("line", x1=start, x2=end, y1=y - 4, y2=y - 4, class_=f"known {kind}".strip()))
        marks.append(tag("circle", cx=middle, cy=y - 4, r=3.5))
    bottom, width = y + 12, left + PLOT + RIGHT
    grid = [
        tag("line", x1=x(value), x2=x(value), y1=TOP, y2=bottom, class_="zero" if value == 0 else "grid")
        for value in range(low, high + 1)
        if value % step == 0
    ]
    names = [
        tag("text", f"{value:+d}", x=x(value), y=bottom + 16, text_anchor="middle")
        for value in range(low, high + 1)
        if value % step == 0
    ]
    caption = "V-measure × 100 minus that of the base, with 95 % intervals"
    names.append(tag("text", caption, x=width - RIGHT, y=bottom + 36, text_anchor="end"))
    return inline(caption, width, bottom + 44, tag("g", *grid, *names, *marks, class_="intervals"))


def _span(row: StrategyRow) -> tuple[float, float]:
    return (100 * row.difference.low, 100 * row.difference.high) if row.difference else (0.0, 0.0)


def _table(rows: Sequence[StrategyRow]) -> Markup:
    titles = ["Strategy", "V-measure", "To the base [95 %]", "", "ms per text", "Training s", "MiB"]
    heading = tag("tr", *(tag("th", title, scope="col", class_="figure" if i in (1, 4, 5, 6) else None)
                          for i, title in enumerate(titles)))  # fmt: skip
    return tag("div", tag("table", tag("thead", heading), tag("tbody", *map(_row, rows))), class_="wide")


def _row(row: StrategyRow) -> Markup:
    name = tag("b", row.name) if row.group == "base" else row.name
    return tag(
        "tr",
        tag("th", name, scope="row"),
        tag("td", percent(row.summary.value if row.summary else None), class_="figure"),
        tag("td", with_interval(row.difference, missing="")),
        tag("td", row.verdict),
        *(tag("td", figure, class_="figure") for figure in costs(row)),
    )
