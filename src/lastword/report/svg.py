"""Charts as SVG: lines over steps, points on a map, bars. Colours come from a style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword.report.markup import Markup, join, number, tag

_PALETTE, _PICTURE = (Path(__file__).with_name(name) for name in ("palette.css", "picture.css"))
WIDTH, HEIGHT, MAP_SIZE = 440.0, 250.0, 440.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 14.0, 38.0
COLOURS = 10
"""Kinds with a colour of their own on a map; the rest are grey."""
_LABEL_HEIGHT, _LETTER = 14.0, 6.9  # of the names of kinds on a map
# Circle, square, triangle, diamond, cross: kinds differ in colour and shape.
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
        name: shown on hover.
        points: (x, y) in order of x.
        style: index of its dash pattern and colour, from 0.
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
    """Data coordinates to positions in the picture; the ranges end at ticks."""

    x_ticks: list[float]
    y_ticks: list[float]

    @property
    def y_digits(self) -> int:
        """Decimal places that the labels of the vertical ticks need."""
        return max(0, -math.floor(math.log10(self.y_ticks[1] - self.y_ticks[0]) + 1e-9))

    def x(self, value: float) -> float:
        """Position of a value, from the left."""
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Position of a value, from the top."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def ticks(low: float, high: float, *, most: int = 6, finest: float = 0.0) -> list[float]:
    """Round numbers at equal distances that enclose a range.

    Args:
        low: smallest number to enclose.
        high: largest number to enclose.
        most: maximum number of steps within the range; rounding its ends adds at most one.
        finest: smallest step, for example 1 for counts.
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
        label: for screen readers.
        x_name: name of the horizontal axis.
        rule: height and name of a horizontal reference line.
    """
    points = [point for line in lines for point in line.points]
    heights = [y for _, y in points] + ([rule[0]] if rule else [])
    axes = Axes(ticks(0, max(x for x, _ in points), finest=1), ticks(min(heights), max(heights)))
    parts = [_grid(axes, x_name), *(_line(line, axes) for line in reversed(lines))]
    if rule:
        parts.insert(1, _rule(axes, *rule))
    return inline(label, WIDTH, HEIGHT, *parts)


def inline(label: str, width: float, height: float, *parts: str) -> Markup:
    """An SVG inside a page, which scales to the available width; the page's style sheet applies."""
    box = f"0 0 {number(width)} {number(height)}"
    return tag("svg", *parts, class_="chart", viewBox=box, role="img", aria_label=label)


def standalone(
    label: str, width: float, height: float, parts: Iterable[str], *, style: str, class_: str
) -> Markup:
    """An SVG that can be a file of its own: it has its size, background, style sheet and the SVG namespace.

    Args:
        label: for screen readers.
        width: in pixels.
        height: in pixels.
        parts: elements of the drawing.
        style: rules added after those that all pictures share.
        class_: class of the root element, which all rules of `style` name: the picture may be part of a page.
    """
    rules = "".join(path.read_text(encoding="utf-8") for path in (_PALETTE, _PICTURE)) + style
    background = tag("rect", width=width, height=height, class_="paper")
    return tag(
        "svg", tag("style", Markup(rules)), background, *parts, xmlns="http://www.w3.org/2000/svg",
        class_=f"picture {class_}", viewBox=f"0 0 {number(width)} {number(height)}", width=width, height=height,
        role="img", aria_label=label,
    )  # fmt: skip


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
    positions = [(axes.x(x), axes.y(y)) for x, y in line.points]
    path = " ".join(f"{number(x)},{number(y)}" for x, y in positions)
    parts = [tag("title", line.name), tag("polyline", points=path)]
    if line.marks or len(positions) == 1:
        parts += [tag("circle", cx=x, cy=y, r=2.6, class_="mark") for x, y in positions]
    for (x, _), (left, top) in zip(line.points, positions, strict=True):
        if x == line.ringed:
            parts.append(tag("circle", cx=left, cy=top, r=7, class_="ring"))
    return tag("g", *parts, class_=f"line s{line.style % 4}")


def line_sample(style: int) -> Markup:
    """A short piece of a line, for a legend."""
    piece = tag("line", x1=0, x2=26, y1=6, y2=6)
    return _key(26, 12, tag("g", piece, class_=f"line s{style % 4}"))


def ring_sample() -> Markup:
    """The ring around a point, for a legend."""
    ring = tag("circle", cx=8, cy=8, r=6, class_="ring")
    dot = tag("circle", cx=8, cy=8, r=2.6, class_="mark")
    return _key(16, 16, tag("g", dot, ring, class_="line s0"))


def symbol_sample(kind: int | None) -> Markup:
    """The colour and shape of a kind, for a legend."""
    return _key(14, 14, _symbol(kind), viewBox="-7 -7 14 14")


def _key(width: int, height: int, drawing: Markup, **attributes: str) -> Markup:
    return tag("svg", drawing, class_="key", **attributes, width=width, height=height, aria_hidden="true")


def point_map(
    points: np.ndarray, kinds: Sequence[int | None], titles: Sequence[str], names: Sequence[str], label: str
) -> Markup:
    """Points in a square, each with the colour and shape of its kind; names of the kinds at their centres.

    Args:
        points: (n, 2); both directions have the same scale.
        kinds: n indices of kinds, from 0 to `COLOURS` − 1; None is drawn grey, below the others.
        titles: n texts to show for a point.
        names: of the kinds.
        label: for screen readers.
    """
    centred = points.astype(float) - (points.max(0) + points.min(0)) / 2
    scale = (MAP_SIZE / 2 - 14) / (np.abs(centred).max() or 1.0)
    positions = centred * scale + MAP_SIZE / 2
    marks = [
        _symbol(
            kinds[row],
            tag("title", titles[row]),
            transform=f"translate({number(positions[row, 0])} {number(positions[row, 1])})",
            data_row=str(row),
        )
        for row in sorted(range(len(kinds)), key=lambda row: kinds[row] is not None)
    ]
    return inline(label, MAP_SIZE, MAP_SIZE, tag("g", *marks), *_names_at_centres(positions, kinds, names))


def _names_at_centres(
    positions: np.ndarray, kinds: Sequence[int | None], names: Sequence[str]
) -> list[Markup]:
    """Name of each kind at the median of its points, moved down where it would cover another name."""
    of_kind = np.array([-1 if kind is None else kind for kind in kinds])
    centres = [np.median(positions[of_kind == kind], axis=0) for kind in range(len(names))]
    placed: list[tuple[float, float, float]] = []
    labels = []
    for kind in sorted(range(len(names)), key=lambda kind: float(centres[kind][1])):
        half = _LETTER * len(names[kind]) / 2
        x = min(max(float(centres[kind][0]), half), MAP_SIZE - half)
        y = float(centres[kind][1])
        for other_x, other_y, other_half in placed:
            if abs(x - other_x) < half + other_half and abs(y - other_y) < _LABEL_HEIGHT:
                y = other_y + _LABEL_HEIGHT
        placed.append((x, y, half))
        labels.append(tag("text", names[kind], x=x, y=y + 4, text_anchor="middle"))
    return labels


def _symbol(kind: int | None, *children: str, **attributes: str) -> Markup:
    shape = SHAPES[(kind or 0) % len(SHAPES)]
    style = "rest" if kind is None else f"c{kind}"
    key = "rest" if kind is None else str(kind)
    return tag("path", *children, d=shape, class_=f"dot {style}", data_kind=key, **attributes)


def bar(
    share: float, *, style: str, interval: tuple[float, float] | None = None, rule: float | None = None
) -> Markup:
    """A horizontal bar that scales to the width of its cell, with whiskers for an interval.

    Args:
        share: length, 0 … 1 of the cell.
        style: class of the bar.
        interval: ends of the whiskers, on the same scale.
        rule: position of a vertical reference line.
    """
    parts = [tag("rect", x="0", y="5", height="10", rx="1.5", width=_percent(share), class_=style)]
    if interval:
        low, high = (_percent(max(0.0, end)) for end in interval)
        parts.append(tag("line", x1=low, x2=high, y1="10", y2="10"))
        parts += [tag("line", x1=end, x2=end, y1="6", y2="14") for end in (low, high)]
    if rule is not None:
        parts.append(tag("line", x1=_percent(rule), x2=_percent(rule), y1="0", y2="20", class_="rule"))
    return tag("svg", join(parts), class_="bar", aria_hidden="true")


def _percent(share: float) -> str:
    return f"{number(100 * share)}%"
