"""A probe as a heat map: templates down, poolings across, a panel for each layer, or the best layer of each cell."""

from __future__ import annotations

from collections.abc import Iterable

from lastword.probing.measures import MEASURES
from lastword.probing.result import Option, ProbeResult
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

Cells = dict[tuple[str, str], Option]
"""Template and pooling → the option that is shown."""


def render(result: ProbeResult) -> str:
    """The heat map as a string."""
    return _HeatMap(result).draw()


def panels_of(result: ProbeResult) -> dict[str, Cells]:
    """Title → cells of a panel for each layer; where there are many, of one with the best layer of each cell."""
    layers = sorted({option.layer for option in result.options})
    if len(layers) > MOST_PANELS:
        # The best comes last and overwrites the others.
        return {"the best layer of each": _cells(reversed(result.ranked))}
    return {f"layer {layer}": _cells(o for o in result.options if o.layer == layer) for layer in layers}


def _cells(options: Iterable[Option]) -> Cells:
    return {(option.template, option.pooling): option for option in options}


class _HeatMap:
    """Names, sizes in pixels, shades and outlines that all panels share."""

    def __init__(self, result: ProbeResult) -> None:
        self.result, self.measure = result, MEASURES[result.ranked_by]
        self.panels = panels_of(result)
        self.single_layer = len(self.panels) == len({option.layer for option in result.options})
        self.rows = list(dict.fromkeys(option.template for option in result.options))
        self.columns = list(dict.fromkeys(option.pooling for option in result.options))
        self.cell_width = 46.0 if self.single_layer else 76.0
        self.left = 20 + _LETTER * max(len(shortened(row, _LABEL_WIDTH)) for row in self.rows)
        self.top = 34 + _LETTER * max(map(len, self.columns))  # of a panel, for its title and column names
        self.width = self.cell_width * len(self.columns)
        self.height = self.top + CELL_HEIGHT * len(self.rows)
        self.outlines = {
            **{option.key: "near" for option in result.indistinguishable},
            result.best.key: "best",
        }
        values = [self._value(option) for option in result.ranked]
        self.worst, self.best = values[-1 - int(_WORST_SHARE * len(values))], values[0]

    def draw(self) -> str:
        facts, scale = self.result.facts, " × 100" if self.measure.percent else ""
        heading = f"{self.measure.title}{scale}: {facts.model} on {facts.texts:,} texts of {facts.data}"
        lines = -(-len(self.panels) // max(1, int((WIDTH - self.left) // (self.width + GAP))))
        across = -(-len(self.panels) // lines)
        height = HEAD + lines * (self.height + GAP) + FOOT
        parts = [tag("text", heading, x=12, y=22, class_="title")]
        for i, (title, cells) in enumerate(self.panels.items()):
            line, column = divmod(i, across)
            left, top = self.left + column * (self.width + GAP), HEAD + line * (self.height + GAP)
            if column == 0:
                parts += self._row_names(top)
            parts += self._panel(title, cells, left, top)
        legend, legend_width = self._legend(height - FOOT + 16)
        width = max(self.left + across * (self.width + GAP), 24 + _LETTER * len(heading), legend_width)
        return standalone(heading, width, height, [*parts, *legend], style=_STYLE, class_="heat")

    def _value(self, option: Option) -> float:
        return option.scores[self.result.ranked_by].value

    def _opacity(self, value: float) -> float:
        """Better is darker."""
        span = self.best - self.worst
        share = max(0.0, (value - self.worst) / span) if span else 1.0
        return _LEAST_OPACITY + (1 - _LEAST_OPACITY) * share

    def _row_names(self, top: float) -> list[Markup]:
        parts, y = [], top + self.top + CELL_HEIGHT * 0.68
        for i, row in enumerate(self.rows):
            name = shortened(row, _LABEL_WIDTH)
            parts.append(tag("text", name, x=self.left - 8, y=y + CELL_HEIGHT * i, text_anchor="end"))
        return parts

    def _panel(self, title: str, cells: Cells, left: float, top: float) -> list[Markup]:
        parts = [tag("text", title, x=left, y=top + 12, class_="title")]
        outlines = []  # drawn last: the next cell would cover half of an outline
        for i, pooling in enumerate(self.columns):
            x = left + self.cell_width * i
            corner = f"{number(x + self.cell_width / 2 + 4)} {number(top + self.top - 7)}"
            parts.append(tag("text", pooling, transform=f"translate({corner}) rotate(-90)"))
            for j, template in enumerate(self.rows):
                option, y = cells[template, pooling], top + self.top + CELL_HEIGHT * j
                parts += self._cell(option, x, y)
                if outline := self.outlines.get(option.key):
                    size = {"width": self.cell_width - 3, "height": CELL_HEIGHT - 3}
                    outlines.append(tag("rect", class_=outline, x=x + 1.5, y=y + 1.5, **size))
        return parts + outlines

    def _cell(self, option: Option, x: float, y: float) -> list[Markup]:
        width, value = self.cell_width, self._value(option)
        opacity, shown = self._opacity(value), self.measure.shown(value)
        title = tag("title", f"{option.template}, {option.pooling}, layer {option.layer}: {shown}")
        text = shown if self.single_layer else f"{shown} (layer {option.layer})"
        style = "value on-dark" if opacity > _LIGHT_TEXT else "value"
        size = {"width": width - 1, "height": CELL_HEIGHT - 1}
        return [
            tag("rect", title, x=x, y=y, **size, class_="cell", fill_opacity=opacity),
            tag("text", text, x=x + width / 2, y=y + CELL_HEIGHT * 0.68, text_anchor="middle", class_=style),
        ]

    def _legend(self, y: float) -> tuple[list[Markup], float]:
        """Shades from the worst to the best and the meaning of the outlines; and the width of both."""
        worst, best = f"{self.measure.shown(self.worst)} or worse", self.measure.shown(self.best)
        parts = [tag("text", worst, x=12, y=y + 12)]
        x = 12 + _LETTER * (len(worst) + 1)
        for i in range(_STEPS):
            opacity = _LEAST_OPACITY + (1 - _LEAST_OPACITY) * i / (_STEPS - 1)
            left = x + 12 * i
            parts.append(tag("rect", x=left, y=y, width=12, height=16, class_="cell", fill_opacity=opacity))
        x += 12 * _STEPS + 8
        parts.append(tag("text", best, x=x, y=y + 12))
        x += _LETTER * (len(best) + 2)
        meanings = {"best": "best", "near": "not distinguishable from the best on these texts"}
        for style in dict.fromkeys(sorted(self.outlines.values())):
            parts.append(tag("rect", x=x, y=y, width=24, height=16, class_="cell"))
            parts.append(tag("rect", x=x + 1.5, y=y + 1.5, width=21, height=13, class_=style))
            parts.append(tag("text", meanings[style], x=x + 32, y=y + 12))
            x += 32 + _LETTER * (len(meanings[style]) + 2)
        return parts, x
