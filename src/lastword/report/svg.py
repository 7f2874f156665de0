"""Charts as inline SVG: lines over steps, points on a map, bars. Colours come from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lastword.report.markup import Markup, join, number, tag

WIDTH, HEIGHT, MAP_SIZE = 440.0, 250.0, 440.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 14.0, 38.0
HUES = 6
# Circle, square, triangle, diamond, cross: with six hues enough for thirty labels.
SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.5-3.5h7v7h-7z",
    "M0-4.8l4.6 8.2h-9.2z",
    "M0-5.2l4.6 5.2-4.6 5.2-4.6-5.2z",
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
)


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: for whoever points at it.
        points: (x, y) in order of x.
        style: number of its dash pattern and colour, from 0.
        marks: draw a dot at every point.
        ringed: x of the point that gets a ring.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: int
    marks: bool = False
    ringed: float | None = None


@dataclass(frozen=True)
class Axes:
    """From numbers to places in the picture; the ranges end at ticks."""

    x_ticks: list[float]
    y_ticks: list[float]

    @property
    def y_digits(self) -> int:
        """Digits after the point that tell the vertical ticks apart."""
        return max(0, -math.floor(math.log10(self.y_ticks[1] - self.y_ticks[0]) + 1e-9))

    def x(self, value: float) -> float:
        """Place of a value, from the left."""
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Place of a value, from the top."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def ticks(low: float, high: float, *, most: int = 6, finest: float = 0.0) -> list[float]:
    """Round numbers in even steps that enclose a range.

    Args:
        low: smallest number to enclose.
        high: largest one.
        most: steps that the range itself may take; rounding its ends adds one at most.
        finest: smallest step, such as 1 for counts.
    """
    spread = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(spread / most))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if spread / (size * factor) <= most)
    step = max(step, finest)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def line_chart(
    lines: Sequence[Line], label: str, x_name: str, rule: tuple[float, str] | None = None
) -> Markup:
    """Lines over common axes.

    Args:
        lines: at least one, each with at least one point.
        label: what a screen reader says.
        x_name: what the horizontal axis counts.
        rule: height and name of a horizontal line to compare with.
    """
    every = [point for line in lines for point in line.points]
    heights = [y for _, y in every] + ([rule[0]] if rule else [])
    axes = Axes(ticks(0, max(x for x, _ in every), finest=1), ticks(min(heights), max(heights)))
    parts = [_grid(axes, x_name), *(_line(line, axes) for line in reversed(lines))]
    if rule:
        parts.insert(1, _rule(axes, *rule))
    return picture(label, WIDTH, HEIGHT, *parts)


def picture(label: str, width: float, height: float, *parts: str) -> Markup:
    """A drawing with its own measure, which fills the width it is given."""
    box = f"0 0 {number(width)} {number(height)}"
    return tag("svg", *parts, class_="chart", viewBox=box, role="img", aria_label=label)


def _grid(axes: Axes, x_name: str) -> Markup:
    parts = []
    digits = axes.y_digits
    for value in axes.y_ticks:
        y = axes.y(value)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", f"{value:.{digits}f}", x=LEFT - 8, y=y + 4, text_anchor="end"))
    y = HEIGHT - BOTTOM + 17
    parts += [tag("text", f"{value:g}", x=axes.x(value), y=y, text_anchor="middle") for value in axes.x_ticks]
    parts.append(tag("text", x_name, x=WIDTH - RIGHT, y=HEIGHT - 4, text_anchor="end"))
    return tag("g", *parts, aria_hidden="true")


def _rule(axes: Axes, height: float, name: str) -> Markup:
    y = axes.y(height)
    line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="rule")
    below = y + 14 if y + 14 < HEIGHT - BOTTOM else y - 5
    return tag("g", line, tag("text", name, x=WIDTH - RIGHT, y=below, text_anchor="end"))


def _line(line: Line, axes: Axes) -> Markup:
    places = [(axes.x(x), axes.y(y)) for x, y in line.points]
    path = " ".join(f"{number(x)},{number(y)}" for x, y in places)
    parts = [tag("title", line.name), tag("polyline", points=path)]
    if line.marks or len(places) == 1:
        parts += [tag("circle", cx=x, cy=y, r=2.6, class_="mark") for x, y in places]
    for (x, _), (left, top) in zip(line.points, places, strict=True):
        if x == line.ringed:
            parts.append(tag("circle", cx=left, cy=top, r=7, class_="ring"))
    return tag("g", *parts, class_=f"line s{line.style % 4}")


def line_sample(style: int) -> Markup:
    """A short piece of a line, for a legend."""
    piece = tag("line", x1=0, x2=26, y1=6, y2=6)
    return tag(
        "svg",
        tag("g", piece, class_=f"line s{style % 4}"),
        class_="key",
        width=26,
        height=12,
        aria_hidden="true",
    )


def ring_sample() -> Markup:
    """The ring around a point that was kept, for a legend."""
    ring = tag("circle", cx=8, cy=8, r=6, class_="ring")
    dot = tag("circle", cx=8, cy=8, r=2.6, class_="mark")
    return tag(
        "svg", tag("g", dot, ring, class_="line s0"), class_="key", width=16, height=16, aria_hidden="true"
    )


def point_map(points: np.ndarray, kinds: Sequence[int], titles: Sequence[str], label: str) -> Markup:
    """Points on a square, each with the colour and shape of its kind.

    Args:
        points: (n, 2); both directions are drawn to the same scale.
        kinds: n numbers of kinds, from 0.
        titles: n texts to show for a point.
        label: what a screen reader says.
    """
    centred = points.astype(float) - (points.max(0) + points.min(0)) / 2
    scale = (MAP_SIZE / 2 - 14) / (np.abs(centred).max() or 1.0)
    places = centred * scale + MAP_SIZE / 2
    marks = [
        _symbol(kind, tag("title", title), transform=f"translate({number(x)} {number(y)})", data_row=str(row))
        for row, ((x, y), kind, title) in enumerate(zip(places.tolist(), kinds, titles, strict=True))
    ]
    return picture(label, MAP_SIZE, MAP_SIZE, tag("g", *marks))


def symbol_sample(kind: int) -> Markup:
    """The colour and shape of a kind, for a legend."""
    return tag(
        "svg", _symbol(kind), class_="key", viewBox="-7 -7 14 14", width=14, height=14, aria_hidden="true"
    )


def _symbol(kind: int, *children: str, **attributes: str) -> Markup:
    shape = SHAPES[kind // HUES % len(SHAPES)]
    return tag("path", *children, d=shape, class_=f"dot c{kind % HUES}", data_kind=str(kind), **attributes)


def bar(share: float, *, style: str, band: float = 0.0) -> Markup:
    """A horizontal bar as wide as its cell allows, with whiskers for a band; the number stands beside it.

    Args:
        share: length, 0 … 1 of the cell.
        style: class of the bar.
        band: half the length of the whiskers, on the same scale.
    """
    parts = [tag("rect", x="0", y="5", height="10", rx="1.5", width=_percent(share), class_=style)]
    if band:
        low, high = _percent(max(0.0, share - band)), _percent(share + band)
        parts.append(tag("line", x1=low, x2=high, y1="10", y2="10"))
        parts += [tag("line", x1=end, x2=end, y1="6", y2="14") for end in (low, high)]
    return tag("svg", join(parts), class_="bar", aria_hidden="true")


def _percent(share: float) -> str:
    return f"{number(100 * share)}%"
