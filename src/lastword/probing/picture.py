"""A probe as a heat map: templates down, poolings across, a panel for each layer, or the best layer of each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lastword.embedding import GridPoint
from lastword.probing.measures import MEASURES
from lastword.probing.result import Option, ProbeResult
from lastword.probing.table import shortened
from lastword.report.markup import Markup, number, tag

MOST_PANELS = 13
"""More layers than this are drawn as one panel with the best layer in each cell."""
CELL_HEIGHT, GAP, HEAD, FOOT, WIDTH = 22.0, 18.0, 44.0, 58.0, 960.0
_LETTER, _LABEL_WIDTH, _STEPS = 7.0, 44, 12
_FAINTEST, _TURN = 0.06, 0.62  # opacity of the poorest cell, and from where its number is written inversely
_POOR = (
    0.1  # share of the options that are all drawn as the poorest: a few useless ones would take all shades
)
_STYLE = Markup(
    "text{font:12px system-ui,sans-serif;fill:#334}.t{font-weight:600}.n{font-size:11px}"
    ".c{fill:#1d4ed8}.n.i{fill:#fff}.l,.b{fill:none;stroke:#f59e0b}"
    ".l{stroke-width:1.5;stroke-dasharray:3 2}.b{stroke-width:3}"
    "@media(prefers-color-scheme:dark){text{fill:#ccd3dd}.c{fill:#7aa5ff}.n.i{fill:#0d1420}}"
)


@dataclass(frozen=True)
class Panel:
    """Cells under one title.

    Attributes:
        title: what they have in common.
        cells: (template, pooling) → the option that is shown.
        layered: whether all are of one layer; if not, each cell names its own.
    """

    title: str
    cells: dict[tuple[str, str], Option]
    layered: bool


@dataclass(frozen=True)
class Frame:
    """Sizes and sides that all panels share.

    Attributes:
        rows: templates.
        columns: poolings.
        cell_width: in pixels, like all sizes.
        top: room for a panel's title and the names of its columns.
        left: room for the names of the rows.
    """

    rows: list[str]
    columns: list[str]
    cell_width: float
    top: float
    left: float

    @classmethod
    def of(cls, found: ProbeResult, layered: bool) -> Frame:
        """Make room for the names of templates and poolings."""
        rows = list(dict.fromkeys(option.point.template for option in found.options))
        columns = list(dict.fromkeys(option.point.pooling for option in found.options))
        left = 20 + _LETTER * max(len(shortened(row, _LABEL_WIDTH)) for row in rows)
        return cls(rows, columns, 46 if layered else 76, 34 + _LETTER * max(map(len, columns)), left)

    @property
    def width(self) -> float:
        """Of a panel."""
        return self.cell_width * len(self.columns)

    @property
    def height(self) -> float:
        """Of a panel with its title."""
        return self.top + CELL_HEIGHT * len(self.rows)


def write_picture(path: str | Path, found: ProbeResult) -> None:
    """Write the heat map as SVG."""
    Path(path).write_text(render(found), encoding="utf-8")


def render(found: ProbeResult) -> str:
    """The heat map as a string."""
    panels = panels_of(found)
    frame, heading = Frame.of(found, panels[0].layered), _heading(found)
    lines = -(-len(panels) // max(1, int((WIDTH - frame.left) // (frame.width + GAP))))
    across = -(-len(panels) // lines)
    height = HEAD + lines * (frame.height + GAP) + FOOT
    shade, mark = _shades(found), _marks(found)
    parts = [tag("style", _STYLE), tag("text", heading, x=12, y=22, class_="t")]
    for place, panel in enumerate(panels):
        line, column = divmod(place, across)
        x, y = frame.left + column * (frame.width + GAP), HEAD + line * (frame.height + GAP)
        if column == 0:
            parts += _row_names(frame, y)
        parts += _panel(panel, frame, (x, y), found.ranked_by, shade, mark)
    legend, legend_width = _legend(found, height - FOOT + 16)
    width = max(frame.left + across * (frame.width + GAP), 24 + _LETTER * len(heading), legend_width)
    return str(
        tag(
            "svg",
            *parts,
            *legend,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {number(width)} {number(height)}",
            width=width,
            role="img",
            aria_label=heading,
        )
    )


def panels_of(found: ProbeResult) -> list[Panel]:
    """One panel for each layer; where there are many, one that shows the best layer of each cell."""
    layers = sorted({option.point.layer for option in found.options})
    if len(layers) > MOST_PANELS:
        # The best comes last, so that it is the one that stays.
        return [Panel("the best layer of each", _cells(reversed(found.ranked)), layered=False)]
    return [
        Panel(f"layer {layer}", _cells(o for o in found.options if o.point.layer == layer), layered=True)
        for layer in layers
    ]


def _cells(options: Iterable[Option]) -> dict[tuple[str, str], Option]:
    return {(option.point.template, option.point.pooling): option for option in options}


def _shades(found: ProbeResult) -> Callable[[float], float]:
    """Value → opacity; the better, the darker."""
    poorest, best = _ends(found)
    reach = best - poorest
    return lambda value: _FAINTEST + (1 - _FAINTEST) * (max(0.0, (value - poorest) / reach) if reach else 1.0)


def _ends(found: ProbeResult) -> tuple[float, float]:
    """The value that is drawn palest, and the best."""
    values = [option.scores[found.ranked_by] for option in found.ranked]
    return values[-1 - int(_POOR * len(values))], values[0]


def _marks(found: ProbeResult) -> dict[GridPoint, str]:
    """Which cells get an outline: the best, and those level with it."""
    return {**{option.point: "l" for option in found.level}, found.best.point: "b"}


def _panel(
    panel: Panel,
    frame: Frame,
    corner: tuple[float, float],
    score: str,
    shade: Callable[[float], float],
    mark: dict[GridPoint, str],
) -> list[Markup]:
    left, top = corner
    parts = [tag("text", panel.title, x=left, y=top + 12, class_="t")]
    outlines = []  # above all cells, or the next one would cover half of them
    for i, pooling in enumerate(frame.columns):
        x, y = left + frame.cell_width * (i + 0.5) + 4, top + frame.top - 7
        parts.append(tag("text", pooling, transform=f"translate({number(x)} {number(y)}) rotate(-90)"))
        for j, template in enumerate(frame.rows):
            option = panel.cells[template, pooling]
            x, y = left + frame.cell_width * i, top + frame.top + CELL_HEIGHT * j
            parts += _cell(option, (x, y), frame.cell_width, score, shade, panel.layered)
            if option.point in mark:
                parts_of = {
                    "x": x + 1.5,
                    "y": y + 1.5,
                    "width": frame.cell_width - 3,
                    "height": CELL_HEIGHT - 3,
                }
                outlines.append(tag("rect", class_=mark[option.point], **parts_of))
    return parts + outlines


def _cell(
    option: Option,
    corner: tuple[float, float],
    width: float,
    score: str,
    shade: Callable[[float], float],
    layered: bool,
) -> list[Markup]:
    value, (x, y) = option.scores[score], corner
    opacity, point = shade(value), option.point
    shown = MEASURES[score].shown(value)
    title = f"{point.template}, {point.pooling}, layer {point.layer}: {shown}"
    return [
        tag(
            "rect",
            tag("title", title),
            x=x,
            y=y,
            width=width - 1,
            height=CELL_HEIGHT - 1,
            class_="c",
            fill_opacity=opacity,
        ),
        tag(
            "text",
            shown if layered else f"{shown} (layer {point.layer})",
            x=x + width / 2,
            y=y + CELL_HEIGHT * 0.68,
            text_anchor="middle",
            class_="n i" if opacity > _TURN else "n",
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


def _heading(found: ProbeResult) -> str:
    measure, facts = MEASURES[found.ranked_by], found.facts
    scale = " × 100" if measure.percent else ""
    return f"{measure.title}{scale}: {facts['model']} on {facts['texts']:,} texts of {facts['data']}"


def _legend(found: ProbeResult, y: float) -> tuple[list[Markup], float]:
    """From the poorest to the best, and what the outlines mean; and how wide that is."""
    poorest, best = (MEASURES[found.ranked_by].shown(value) for value in _ends(found))
    poorest = f"{poorest} or worse"
    parts = [tag("text", poorest, x=12, y=y + 12)]
    x = 12 + _LETTER * (len(poorest) + 1)
    for i in range(_STEPS):
        opacity = _FAINTEST + (1 - _FAINTEST) * i / (_STEPS - 1)
        parts.append(tag("rect", x=x + 12 * i, y=y, width=12, height=16, class_="c", fill_opacity=opacity))
    x += 12 * _STEPS + 8
    parts.append(tag("text", best, x=x, y=y + 12))
    x += _LETTER * (len(best) + 2)
    for style, words in (("b", "best"), ("l", "level with the best: these texts do not tell them apart")):
        if style == "l" and len(found.level) == 1:
            continue
        parts.append(tag("rect", x=x, y=y, width=24, height=16, class_="c"))
        parts.append(tag("rect", x=x + 1.5, y=y + 1.5, width=21, height=13, class_=style))
        parts.append(tag("text", words, x=x + 32, y=y + 12))
        x += 32 + _LETTER * (len(words) + 2)
    return parts, x
