"""A probe as a heat map: templates down, poolings across, a panel for each layer, or the best layer of each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lastword.probing.measures import MEASURES
from lastword.probing.result import Key, Option, ProbeResult
from lastword.probing.table import shortened
from lastword.report.markup import Markup, number, tag
from lastword.report.svg import standalone

MOST_PANELS = 13
"""More layers than this are drawn as one panel with the best layer in each cell."""
CELL_HEIGHT, GAP, HEAD, FOOT, WIDTH = 22.0, 18.0, 44.0, 58.0, 960.0
_LETTER, _LABEL_WIDTH, _STEPS = 7.0, 44, 12
_LEAST_OPACITY, _LIGHT_TEXT = 0.06, 0.62  # opacity of the worst cells, and from where numbers are light
_WORST_SHARE = 0.1  # of the options, all drawn in the lightest shade: outliers would use up the other shades
_STYLE = (
    ".heat{font-size:12px}.heat .value{font-size:11px}.heat .cell{fill:var(--accent)}"
    ".heat .value.on-dark{fill:var(--paper)}.heat .near,.heat .best{fill:none;stroke:var(--c1)}"
    ".heat .near{stroke-width:1.5;stroke-dasharray:3 2}.heat .best{stroke-width:3}"
)


@dataclass(frozen=True)
class Panel:
    """Cells under one title.

    Attributes:
        title: what they have in common.
        cells: (template, pooling) → the option that is shown.
        single_layer: whether all are of one layer; if not, each cell names its own.
    """

    title: str
    cells: dict[tuple[str, str], Option]
    single_layer: bool


@dataclass(frozen=True)
class Frame:
    """Sizes and names that all panels share.

    Attributes:
        rows: templates.
        columns: poolings.
        cell_width: in pixels, like all sizes.
        top: height of a panel's title and column names.
        left: width of the row names.
    """

    rows: list[str]
    columns: list[str]
    cell_width: float
    top: float
    left: float

    @classmethod
    def of(cls, result: ProbeResult, single_layer: bool) -> Frame:
        """Compute the sizes from the names of templates and poolings."""
        rows = list(dict.fromkeys(option.template for option in result.options))
        columns = list(dict.fromkeys(option.pooling for option in result.options))
        left = 20 + _LETTER * max(len(shortened(row, _LABEL_WIDTH)) for row in rows)
        return cls(rows, columns, 46 if single_layer else 76, 34 + _LETTER * max(map(len, columns)), left)

    @property
    def width(self) -> float:
        """Width of a panel."""
        return self.cell_width * len(self.columns)

    @property
    def height(self) -> float:
        """Height of a panel with its title."""
        return self.top + CELL_HEIGHT * len(self.rows)


def write_picture(path: str | Path, result: ProbeResult) -> None:
    """Write the heat map as SVG."""
    Path(path).write_text(render(result), encoding="utf-8")


def render(result: ProbeResult) -> str:
    """The heat map as a string."""
    panels = panels_of(result)
    frame, heading = Frame.of(result, panels[0].single_layer), _heading(result)
    lines = -(-len(panels) // max(1, int((WIDTH - frame.left) // (frame.width + GAP))))
    across = -(-len(panels) // lines)
    height = HEAD + lines * (frame.height + GAP) + FOOT
    shade, mark = _shades(result), _marks(result)
    parts = [tag("text", heading, x=12, y=22, class_="title")]
    for number_of_panel, panel in enumerate(panels):
        line, column = divmod(number_of_panel, across)
        x, y = frame.left + column * (frame.width + GAP), HEAD + line * (frame.height + GAP)
        if column == 0:
            parts += _row_names(frame, y)
        parts += _panel(panel, frame, (x, y), result.ranked_by, shade, mark)
    legend, legend_width = _legend(result, height - FOOT + 16)
    width = max(frame.left + across * (frame.width + GAP), 24 + _LETTER * len(heading), legend_width)
    return standalone(heading, width, height, [*parts, *legend], style=_STYLE, class_="heat")


def panels_of(result: ProbeResult) -> list[Panel]:
    """One panel for each layer; where there are many, one that shows the best layer of each cell."""
    layers = sorted({option.layer for option in result.options})
    if len(layers) > MOST_PANELS:
        # The best comes last and overwrites the others.
        return [Panel("the best layer of each", _cells(reversed(result.ranked)), single_layer=False)]
    return [
        Panel(f"layer {layer}", _cells(o for o in result.options if o.layer == layer), single_layer=True)
        for layer in layers
    ]


def _cells(options: Iterable[Option]) -> dict[tuple[str, str], Option]:
    return {(option.template, option.pooling): option for option in options}


def _shades(result: ProbeResult) -> Callable[[float], float]:
    """Value → opacity; better is darker."""
    worst, best = _ends(result)
    span = best - worst
    return lambda value: (
        _LEAST_OPACITY + (1 - _LEAST_OPACITY) * (max(0.0, (value - worst) / span) if span else 1.0)
    )


def _ends(result: ProbeResult) -> tuple[float, float]:
    """The value with the lightest shade, and the best."""
    values = [option.scores[result.ranked_by].value for option in result.ranked]
    return values[-1 - int(_WORST_SHARE * len(values))], values[0]


def _marks(result: ProbeResult) -> dict[Key, str]:
    """Option → class of its outline: the best, and those not distinguishable from it."""
    return {**{option.key: "near" for option in result.indistinguishable}, result.best.key: "best"}


def _panel(
    panel: Panel,
    frame: Frame,
    corner: tuple[float, float],
    score: str,
    shade: Callable[[float], float],
    mark: dict[Key, str],
) -> list[Markup]:
    left, top = corner
    parts = [tag("text", panel.title, x=left, y=top + 12, class_="title")]
    outlines = []  # drawn last: the next cell would cover half of an outline
    for i, pooling in enumerate(frame.columns):
        x, y = left + frame.cell_width * (i + 0.5) + 4, top + frame.top - 7
        parts.append(tag("text", pooling, transform=f"translate({number(x)} {number(y)}) rotate(-90)"))
        for j, template in enumerate(frame.rows):
            option = panel.cells[template, pooling]
            x, y = left + frame.cell_width * i, top + frame.top + CELL_HEIGHT * j
            parts += _cell(option, (x, y), frame.cell_width, score, shade, panel.single_layer)
            if option.key in mark:
                box = {
                    "x": x + 1.5,
                    "y": y + 1.5,
                    "width": frame.cell_width - 3,
                    "height": CELL_HEIGHT - 3,
                }
                outlines.append(tag("rect", class_=mark[option.key], **box))
    return parts + outlines


def _cell(
    option: Option,
    corner: tuple[float, float],
    width: float,
    score: str,
    shade: Callable[[float], float],
    single_layer: bool,
) -> list[Markup]:
    value, (x, y) = option.scores[score].value, corner
    opacity = shade(value)
    shown = MEASURES[score].shown(value)
    title = f"{option.template}, {option.pooling}, layer {option.layer}: {shown}"
    return [
        tag(
            "rect",
            tag("title", title),
            x=x,
            y=y,
            width=width - 1,
            height=CELL_HEIGHT - 1,
            class_="cell",
            fill_opacity=opacity,
        ),
        tag(
            "text",
            shown if single_layer else f"{shown} (layer {option.layer})",
            x=x + width / 2,
            y=y + CELL_HEIGHT * 0.68,
            text_anchor="middle",
            class_="value on-dark" if opacity > _LIGHT_TEXT else "value",
        ),
    ]


def _row_names(frame: Frame, top: float) -> list[Markup]:
    return [
        tag(
            "text",
            shortened(row, _LABEL_WIDTH),
            x=frame.left - 8,
            y=top + frame.top + CELL_HEIGHT * (i + 0.68),
            text_anchor="end",
        )
        for i, row in enumerate(frame.rows)
    ]


def _heading(result: ProbeResult) -> str:
    measure, facts = MEASURES[result.ranked_by], result.facts
    scale = " × 100" if measure.percent else ""
    return f"{measure.title}{scale}: {facts.model} on {facts.texts:,} texts of {facts.data}"


def _legend(result: ProbeResult, y: float) -> tuple[list[Markup], float]:
    """Shades from the worst to the best and the meaning of the outlines; and the width of both."""
    worst, best = (MEASURES[result.ranked_by].shown(value) for value in _ends(result))
    worst = f"{worst} or worse"
    parts = [tag("text", worst, x=12, y=y + 12)]
    x = 12 + _LETTER * (len(worst) + 1)
    for i in range(_STEPS):
        opacity = _LEAST_OPACITY + (1 - _LEAST_OPACITY) * i / (_STEPS - 1)
        parts.append(tag("rect", x=x + 12 * i, y=y, width=12, height=16, class_="cell", fill_opacity=opacity))
    x += 12 * _STEPS + 8
    parts.append(tag("text", best, x=x, y=y + 12))
    x += _LETTER * (len(best) + 2)
    for style, words in (("best", "best"), ("near", "not distinguishable from the best on these texts")):
        if style == "near" and len(result.indistinguishable) == 1:
            continue
        parts.append(tag("rect", x=x, y=y, width=24, height=16, class_="cell"))
        parts.append(tag("rect", x=x + 1.5, y=y + 1.5, width=21, height=13, class_=style))
        parts.append(tag("text", words, x=x + 32, y=y + 12))
        x += 32 + _LETTER * (len(words) + 2)
    return parts, x
