"""A comparison as a picture: a row for each variant, a dot for each seed, a line for the mean."""

from __future__ import annotations

from statistics import fmean

from lastword.experiments.comparison import Comparison
from lastword.report.markup import tag
from lastword.report.svg import standalone

RIGHT, ROW, TOP, WIDTH, PLOT = 20.0, 26.0, 16.0, 640.0, 430.0
LETTER = 6.7  # widest mean width of a letter at 12 px
_STYLE = (
    ".seeds{font-size:12px}.seeds .mean{stroke:var(--accent);stroke-width:2.5}"
    ".seeds .seed{fill:var(--accent);fill-opacity:.45}"
)


def render(comparison: Comparison) -> str:
    """The picture as a string."""
    values_of = {
        name: [100 * score.value for score in comparison.scores(name).values()] for name in comparison.ranked
    }
    base = 100 * fmean(score.value for score in comparison.base.values())
    values = [base, *(value for values in values_of.values() for value in values)]
    low, high = int(min(values)) - 1, int(max(values)) + 2
    left = max(WIDTH - PLOT - RIGHT, 20 + LETTER * max(map(len, values_of)))
    width = left + PLOT + RIGHT
    bottom = TOP + ROW * len(values_of)
    height = bottom + 40

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * PLOT

    caption = "V-measure × 100; dashed: before training"
    parts = []
    for value in range(low, high + 1, max(1, (high - low) // 8)):
        parts.append(tag("line", x1=x(value), x2=x(value), y1=TOP, y2=bottom, class_="grid"))
        parts.append(tag("text", f"{value}", x=x(value), y=bottom + 16, text_anchor="middle"))
    parts.append(tag("line", x1=x(base), x2=x(base), y1=TOP, y2=bottom, class_="rule"))
    parts.append(tag("text", caption, x=width - RIGHT, y=height - 6, text_anchor="end"))
    for row, (name, row_values) in enumerate(values_of.items()):
        y = TOP + ROW * (row + 0.5)
        parts.append(tag("text", name, x=left - 10, y=y + 4, text_anchor="end"))
        parts += [tag("circle", cx=x(value), cy=y, r=4, class_="seed") for value in row_values]
        if row_values:
            mean = x(fmean(row_values))
            parts.append(tag("line", x1=mean, x2=mean, y1=y - 8, y2=y + 8, class_="mean"))
        else:
            parts.append(tag("text", "diverged", x=left + 8, y=y + 4))
    return standalone(caption, width, height, parts, style=_STYLE, class_="seeds")
