"""An explanation as one HTML file: a picture, the numbers, every head, tokens, geometry and words."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from pathlib import Path

from lastword.explanation.bands import estimates
from lastword.explanation.picture import render_picture
from lastword.explanation.record import Explanation, Measured, Token
from lastword.explanation.shares import KINDS
from lastword.explanation.table import (
    GEOMETRY_NAMES,
    KIND_NAMES,
    band,
    geometry_number,
    percent,
    shortened,
    summary,
    words_line,
)
from lastword.report import svg
from lastword.report.markup import Markup, join, tag
from lastword.report.page import page, panel, section

_STYLE = Path(__file__).with_name("page.css")
_GEOMETRY = (
    "Mean cosine: 0 for vectors that point everywhere, 1 for one direction. Effective rank: how many directions they "
    "use. Uniformity: 0 for equal vectors, the lower the more evenly spread. Alignment: mean squared distance of the "
    "two sides of a pair, 0 if they are the same."
)
_WORDS = (
    "What the model's own output head finds nearest to a vector, with the probability it gives each as the next "
    "token; below it, the words nearest to what sets the vector apart from the mean of all texts."
)


def render_page(found: Explanation) -> str:
    """The page as a string; the same explanation gives the same page."""
    parts = [
        _head(found),
        _attention(found),
        _content(found),
        _heads(found),
        _tokens(found),
        _geometry(found),
    ]
    parts += [part for part in (_words(found), _groups(found)) if part]
    foot = tag("footer", f"Made with lastword {importlib.metadata.version('lastword')}.")
    names = ", ".join(shortened(model.name, 30) for model in found.models[:3])
    style = _STYLE.read_text(encoding="utf-8")
    return page(f"{names}: explained", tag("main", *parts), foot, style=style)


def _head(found: Explanation) -> Markup:
    best = max(found.models, key=lambda model: model.content.mean if model.content.n else -1.0)
    reference = found.reference
    said = f"{reference.name} has {band(reference.content)} % of its remaining attention on content words"
    if best is not reference:
        gain = band(best.gain(reference), signed=True)
        said += f"; {best.name}, the highest here, has {band(best.content)} %, {gain} points more"
    return tag(
        "header",
        tag("p", "lastword explain", class_="eyebrow"),
        tag("h1", "What the last token looks at"),
        tag("p", f"{said}.", class_="note"),
        tag("p", f"{summary(found)}.", class_="note"),
    )


def _attention(found: Explanation) -> Markup:
    titles = ["Model", "Template, pooling", *(KIND_NAMES[kind] for kind in KINDS)]
    rows = [
        [model.name, f"{model.template}, {model.pooling}", *(band(model.kinds[kind]) for kind in KINDS)]
        for model in found.models
    ]
    table = tag("details", tag("summary", "The numbers, with their bands"), _numbers(titles, rows, words=2))
    return section("attention", "Where the last token looks", tag("figure", render_picture(found), table))


def _content(found: Explanation) -> Markup:
    reference = found.reference
    rows = [
        [
            model.name,
            band(model.content),
            "" if model is reference else band(model.gain(reference), signed=True),
            band(model.evenness),
        ]
        for model in found.models
    ]
    note = (
        "Of the attention that is left when begin-of-text and the last token itself are set aside, the share on words "
        f"of the text that are no stop words. If all tokens had the same weight it would be {percent(reference.level)} "
        "%. The gain is taken text by text. Evenness is 100 where all remaining tokens get the same."
    )
    titles = ["Model", "Share, %", f"Gain on {reference.name}", "Evenness, %"]
    return section("content", "Content words", _numbers(titles, rows), tag("p", note, class_="note"))


def _heads(found: Explanation) -> Markup:
    content = KINDS.index("content")
    top = max(float(model.shares.heads[..., content].max()) for model in found.models) or 1.0
    maps = [panel(model.name, _head_map(model, content, top)) for model in found.models]
    note = (
        "Share of each head's attention that falls on content words, a row for each layer, the first on top, and a "
        f"column for each head. A full square is {percent(top)} %, the most of any head here."
    )
    table = tag("details", tag("summary", "Content words, layer by layer"), _layers(found.models))
    grid = tag("div", *maps, class_="heads")
    return section("heads", "Layers and heads", grid, tag("p", note, class_="note"), table)


def _layers(models: Sequence[Measured]) -> Markup:
    """Share of the remaining attention on content words; models of one depth share the rows."""
    deepest = max(model.shares.content.shape[1] for model in models)
    shares = [[percent(one.mean) for one in estimates(model.shares.content, model.seed)] for model in models]
    rows = [
        [str(layer + 1), *(own[layer] if layer < len(own) else "" for own in shares)]
        for layer in range(deepest)
    ]
    return _numbers(["Layer", *(model.name for model in models)], rows)


def _head_map(model: Measured, kind: int, top: float) -> Markup:
    """Squares as large as their share, which is read without colours too."""
    layers, heads = model.shares.heads.shape[:2]
    size = 200.0 / max(heads, 6)
    cells = []
    for layer in range(layers):
        for head in range(heads):
            share = float(model.shares.heads[layer, head, kind])
            side = (share / top) ** 0.5 * (size - 1)
            x, y = (head + 0.5) * size, (layer + 0.5) * size
            title = tag("title", f"layer {layer + 1}, head {head + 1}: {percent(share)} %")
            frame = tag("rect", x=x - size / 2, y=y - size / 2, width=size, height=size, class_="cell")
            cells.append(
                join([frame, tag("rect", title, x=x - side / 2, y=y - side / 2, width=side, height=side)])
            )
    label = f"{model.name}: share on content words of {layers} layers with {heads} heads each"
    return svg.picture(label, size * heads, size * layers, *cells)


def _tokens(found: Explanation) -> Markup:
    parts = []
    for place, shown in enumerate(found.models[0].shown):
        parts.append(tag("blockquote", tag("q", shown.text)))
        parts.append(tag("div", _token_table(found.models, place), class_="wide"))
    note = "Last layer, mean over heads, in percent; content words are bold. Each column sums to 100."
    return section("tokens", "Token by token", tag("p", note, class_="note"), *parts)


def _token_table(models: Sequence[Measured], place: int) -> Markup:
    """A row for each token; models of one template share the rows, others get tables of their own."""
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for model in models:
        groups.setdefault(tuple(one.token for one in model.shown[place].tokens), []).append(model)
    return join(_one_token_table(own, place) for own in groups.values())


def _one_token_table(models: Sequence[Measured], place: int) -> Markup:
    columns = [model.shown[place].tokens for model in models]
    top = max(token.weight for column in columns for token in column)
    head = tag(
        "tr", tag("th", "Token", scope="col"), *(tag("th", model.name, scope="col") for model in models)
    )
    rows = []
    for tokens in zip(*columns, strict=True):
        cells = [
            tag(
                "td",
                tag(
                    "div",
                    svg.bar(one.weight / top, style="content" if one.content else one.part),
                    tag("span", percent(one.weight)),
                    class_="at",
                ),
            )
            for one in tokens
        ]
        mark = "content" if tokens[0].content else tokens[0].part
        rows.append(tag("tr", tag("th", _token_name(tokens[0]), scope="row"), *cells, class_=mark))
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="bytoken")


def _token_name(token: Token) -> Markup:
    shown = token.token.strip()
    return tag("code", shown) if shown else tag("i", "blank" if token.token else "part of a character")


def _geometry(found: Explanation) -> Markup:
    titles = ["Model", *(name.capitalize() for name in GEOMETRY_NAMES.values())]
    rows = [[m.name, *(geometry_number(m.geometry[name]) for name in GEOMETRY_NAMES)] for m in found.models]
    return section(
        "geometry", "How the vectors lie", _numbers(titles, rows), tag("p", _GEOMETRY, class_="note")
    )


def _words(found: Explanation) -> Markup | None:
    if all(shown.words is None for model in found.models for shown in model.shown):
        return None
    parts = []
    for place, shown in enumerate(found.models[0].shown):
        rows = [
            (model.name, words_line(model.shown[place].words), ", ".join(model.shown[place].apart or []))
            for model in found.models
        ]
        parts += [tag("blockquote", tag("q", shown.text)), _word_table(["Model", "Words"], rows)]
    return section("words", "Nearest words", tag("p", _WORDS, class_="note"), *parts)


def _groups(found: Explanation) -> Markup | None:
    parts = []
    for model in found.models:
        rows = [
            (
                f"{group.name} ({group.size:,})",
                ", ".join(group.apart or []),
                shortened(group.examples[0], 120),
            )
            for group in model.groups
        ]
        if rows:
            parts += [
                tag("h3", model.name),
                _word_table(["Group", "What sets it apart; a text of its middle"], rows),
            ]
    return section("groups", "Words of the groups", *parts) if parts else None


def _word_table(titles: Sequence[str], rows: Iterable[tuple[str, str, str]]) -> Markup:
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", first, tag("br"), tag("span", second, class_="apart")),
        )
        for name, first, second in rows
    ]
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    return tag("table", tag("thead", head), tag("tbody", *body), class_="numbers")


def _numbers(titles: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Markup:
    """A table whose first columns are words and whose others are numbers."""
    head = [
        tag("th", title, scope="col", class_=None if place < words else "figure")
        for place, title in enumerate(titles)
    ]
    body = []
    for name, *cells in rows:
        own = [
            tag("td", cell, class_=None if place + 1 < words else "figure")
            for place, cell in enumerate(cells)
        ]
        body.append(tag("tr", tag("th", name, scope="row"), *own))
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="numbers"),
        class_="wide",
    )
