"""The picture of an explanation: for each model, attention by kind of token, and the share on content words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.explanation.result import Explanation, ModelExplanation
from lastword.explanation.shares import KINDS
from lastword.explanation.table import KIND_NAMES
from lastword.report.markup import Markup, tag
from lastword.report.svg import standalone, ticks
from lastword.report.table import percent, shortened_name

WIDTH, ROW_HEIGHT, BAR_HEIGHT, TOP, BOTTOM = 960.0, 30.0, 20.0, 84.0, 52.0
BARS = (170.0, 600.0)  # x from 0 to 100 %
SHARES = (650.0, 890.0)  # x of the axis of content words
_MIN_LABEL_WIDTH = 34.0  # of a segment that shows its number
_STYLE = Path(__file__).with_name("picture.css")


def render_picture(explanation: Explanation) -> Markup:
    """An SVG for a file or inside a page, in light and dark."""
    axis = _Axis.of(explanation)
    parts = [*_legend(), *_titles(), *axis.grid()]
    for row, model in enumerate(explanation.models):
        y = TOP + ROW_HEIGHT * row
        name = (shortened_name(model.name, 22), tag("title", model.name))
        parts.append(tag("text", *name, x=BARS[0] - 12, y=y + BAR_HEIGHT - 5, text_anchor="end"))
        parts += [*_stacked_bar(model, y), *axis.interval(model, y)]
    label = "Attention of the last token by kind of token, and its share on content words, for each model"
    style = _STYLE.read_text(encoding="utf-8")
    return standalone(label, WIDTH, axis.bottom + BOTTOM, parts, style=style, class_="explanation")


def _legend() -> list[Markup]:
    parts, x, y = [], BARS[0], 6.0
    for kind, name in KIND_NAMES.items():
        parts.append(tag("rect", x=x, y=y, width=12.0, height=12.0, rx=2.0, class_=kind))
        parts.append(tag("text", name, x=x + 18, y=y + 11))
        x += 42 + 6.5 * len(name)
    return parts


def _titles() -> list[Markup]:
    titles = ((BARS[0], "Attention of the last token"), (SHARES[0], "Content words, share of the rest"))
    units = ((BARS[0], "%, last layer, mean over heads"), (SHARES[0], "%, with 95 % interval"))
    parts = [tag("text", title, x=x, y=50.0, class_="title") for x, title in titles]
    return parts + [tag("text", unit, x=x, y=68.0, class_="dim") for x, unit in units]


def _stacked_bar(model: ModelExplanation, y: float) -> list[Markup]:
    """One segment for each kind; a segment that is wide enough shows its number."""
    parts, x = [], BARS[0]
    kinds = model.kinds
    for kind in KINDS:
        width = kinds[kind].mean * (BARS[1] - BARS[0])
        title = f"{KIND_NAMES[kind]} {percent(kinds[kind].mean)} %"
        parts.append(tag("rect", tag("title", title), x=x, y=y, width=width, height=BAR_HEIGHT, class_=kind))
        if width >= _MIN_LABEL_WIDTH:
            place: dict[str, str | float] = {
                "x": x + width / 2,
                "y": y + BAR_HEIGHT - 6,
                "text_anchor": "middle",
            }
            parts.append(tag("text", percent(kinds[kind].mean), **place, font_size="11", class_=f"on-{kind}"))
        x += width
    return parts


@dataclass(frozen=True)
class _Axis:
    """The axis of the shares on content words, common to all models; `uniform` is NaN if it is not defined."""

    uniform: float
    ticks: Sequence[float]
    bottom: float

    @classmethod
    def of(cls, explanation: Explanation) -> _Axis:
        uniform = explanation.reference.uniform
        ends = [
            uniform,
            *(end for model in explanation.models for end in (model.content.mean, model.content.high)),
        ]
        highest = max((end for end in ends if end == end), default=1.0)
        bottom = TOP + ROW_HEIGHT * len(explanation.models)
        return cls(uniform, ticks(0, 100 * highest, most=4), bottom)

    def x(self, share: float) -> float:
        """Position of a share, from the left."""
        return SHARES[0] + 100 * share / self.ticks[-1] * (SHARES[1] - SHARES[0])

    def grid(self) -> list[Markup]:
        """Lines at round numbers, and a dashed one at equal weights."""
        parts = []
        for value in self.ticks:
            x = self.x(value / 100)
            parts.append(tag("line", x1=x, x2=x, y1=TOP - 6, y2=self.bottom, class_="grid"))
            parts.append(
                tag("text", f"{value:g}", x=x, y=self.bottom + 16, text_anchor="middle", class_="dim")
            )
        if self.uniform == self.uniform:
            x = self.x(self.uniform)
            parts.append(tag("line", x1=x, x2=x, y1=TOP - 6, y2=self.bottom, class_="rule"))
            label = f"dashed: equal weights ({percent(self.uniform)})"
            parts.append(tag("text", label, x=SHARES[0], y=self.bottom + 38, class_="dim"))
        return parts

    def interval(self, model: ModelExplanation, y: float) -> list[Markup]:
        """A point with its interval, and the number on the right."""
        share = model.content
        if not share.n:
            return []
        y += BAR_HEIGHT / 2
        parts = [
            tag("circle", cx=self.x(share.mean), cy=y, r=4.5, class_="content"),
            tag("text", percent(share.mean), x=WIDTH - 8, y=y + 4, text_anchor="end"),
        ]
        if share.n > 1:
            low, high = self.x(share.low), self.x(share.high)
            parts.insert(0, tag("line", x1=low, x2=high, y1=y, y2=y, class_="interval"))
        return parts
