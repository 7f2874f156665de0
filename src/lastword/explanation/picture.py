"""The picture of an explanation: what each model's last token looks at, and how much of it are content words."""

from __future__ import annotations

from pathlib import Path

from lastword.explanation.record import Explanation, Measured
from lastword.explanation.shares import KINDS, Kind
from lastword.explanation.table import KIND_NAMES, percent, shortened
from lastword.report.markup import Markup, tag
from lastword.report.svg import ticks

WIDTH, ROW, BAR = 960.0, 30.0, 20.0
BARS = (170.0, 600.0)  # from 0 to 100 %
SHARES = (650.0, 890.0)
TOP = 84.0
_ROOM = 34.0  # narrowest piece of a bar that has room for its number
_STYLE = Path(__file__).with_name("picture.css")


def render_picture(found: Explanation) -> Markup:
    """A drawing that stands alone as an SVG file or inside a page, in light and dark."""
    height = TOP + ROW * len(found.models) + 52
    scale = _Scale(found)
    parts = [tag("style", Markup(_STYLE.read_text(encoding="utf-8"))), *_legend(), *_titles(), *scale.grid()]
    for row, model in enumerate(found.models):
        y = TOP + ROW * row
        name = shortened(model.name.rstrip("/").rpartition("/")[2], 22)
        parts.append(tag("text", name, x=BARS[0] - 12, y=y + BAR - 5, text_anchor="end"))
        parts += [*_stacked(model, y), *scale.marked(model, y)]
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        class_="looks",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        width=WIDTH,
        height=height,
        role="img",
        aria_label="Attention of the last token by kind of token, and its share on content words, for each model",
    )


def _legend() -> list[Markup]:
    parts, x, y = [], BARS[0], 6.0
    for kind in KINDS:
        parts.append(tag("rect", x=x, y=y, width=12.0, height=12.0, rx=2.0, class_=kind))
        parts.append(tag("text", KIND_NAMES[kind], x=x + 18, y=y + 11))
        x += 42 + 6.5 * len(KIND_NAMES[kind])
    return parts


def _titles() -> list[Markup]:
    said = ((BARS[0], "Where the last token looks"), (SHARES[0], "Content words, share of the rest"))
    below = ((BARS[0], "% of its attention, last layer, mean over heads"), (SHARES[0], "%, with 95 % band"))
    titles = [tag("text", title, x=x, y=50.0, font_weight="600") for x, title in said]
    return titles + [tag("text", title, x=x, y=68.0, class_="dim") for x, title in below]


def _stacked(model: Measured, y: float) -> list[Markup]:
    """One bar of all kinds; a piece that is wide enough shows its number."""
    parts, x = [], BARS[0]
    kinds = model.kinds
    for kind in KINDS:
        width = kinds[kind].mean * (BARS[1] - BARS[0])
        label = f"{KIND_NAMES[kind]} {percent(kinds[kind].mean)} %"
        parts.append(tag("rect", tag("title", label), x=x, y=y, width=width, height=BAR, class_=kind))
        if width >= _ROOM:
            parts.append(_number(kind, kinds[kind].mean, x + width / 2, y))
        x += width
    return parts


def _number(kind: Kind, share: float, x: float, y: float) -> Markup:
    return tag(
        "text", percent(share), x=x, y=y + BAR - 6, text_anchor="middle", font_size="11", class_=f"on-{kind}"
    )


class _Scale:
    """The shares on content words of all models on one axis."""

    def __init__(self, found: Explanation) -> None:
        self.level = found.reference.level
        ends = [model.content.high for model in found.models] + [self.level]
        self.ticks = ticks(0, 100 * max((end for end in ends if end == end), default=1.0), most=4)
        self.bottom = TOP + ROW * len(found.models)

    def x(self, share: float) -> float:
        """Place of a share, from the left."""
        return SHARES[0] + 100 * share / self.ticks[-1] * (SHARES[1] - SHARES[0])

    def grid(self) -> list[Markup]:
        """Lines at round numbers, and one where equal weights would be."""
        parts = []
        for value in self.ticks:
            x = self.x(value / 100)
            parts.append(tag("line", x1=x, x2=x, y1=TOP - 6, y2=self.bottom, class_="grid"))
            parts.append(
                tag("text", f"{value:g}", x=x, y=self.bottom + 16, text_anchor="middle", class_="dim")
            )
        if self.level == self.level:
            x = self.x(self.level)
            parts.append(tag("line", x1=x, x2=x, y1=TOP - 6, y2=self.bottom, class_="level"))
            said = f"dashed: all tokens alike ({percent(self.level)})"
            parts.append(tag("text", said, x=SHARES[0], y=self.bottom + 38, class_="dim"))
        return parts

    def marked(self, model: Measured, y: float) -> list[Markup]:
        """A point with whiskers, and the number beside it."""
        share = model.content
        if not share.n:
            return []
        middle = y + BAR / 2
        low, high = self.x(share.low), self.x(share.high)
        number = tag("text", percent(share.mean), x=WIDTH - 8, y=middle + 4, text_anchor="end")
        return [
            tag("line", x1=low, x2=high, y1=middle, y2=middle, class_="band"),
            tag("circle", cx=self.x(share.mean), cy=middle, r=4.5, class_="content"),
            number,
        ]
