"""An explanation as one HTML file: the picture, tables of numbers, heads, tokens, geometry and words."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from pathlib import Path

from lastword.explanation.picture import render_picture
from lastword.explanation.result import Explanation, ModelExplanation
from lastword.explanation.shares import KINDS
from lastword.explanation.table import (
    KIND_NAMES,
    content_rows,
    geometry_rows,
    summary,
    with_interval,
    words_line,
)
from lastword.explanation.words import Token
from lastword.report import svg
from lastword.report.markup import Markup, join, tag
from lastword.report.page import page, panel, section
from lastword.report.table import percent, shortened, shortened_name
from lastword.uncertainty import mean_intervals

_STYLE = Path(__file__).with_name("page.css")
_GEOMETRY_NOTE = (
    "Mean cosine: 0 for vectors in all directions, 1 for one direction. Effective rank: the number of directions in "
    "use. Uniformity: 0 for equal vectors, lower for vectors that are spread more evenly. Alignment: mean squared "
    "distance of the two texts of a pair, 0 if their vectors are equal."
)
_WORDS_NOTE = (
    "The words that the model's own output head predicts from a vector, with their probabilities as the next token; "
    "below them, the words nearest to the vector minus the mean vector of the texts."
)


def render_page(explanation: Explanation) -> str:
    """The page as a string; the same explanation gives the same page."""
    parts = [
        _head(explanation),
        _attention(explanation),
        _content(explanation),
        _heads(explanation.models),
        _tokens(explanation.models),
        _geometry(explanation.models),
        _words(explanation.models),
        _groups(explanation.models),
    ]
    main = tag("main", *(part for part in parts if part))
    foot = tag("footer", f"Made with lastword {importlib.metadata.version('lastword')}.")
    names = ", ".join(shortened_name(model.name, 30) for model in explanation.models[:3])
    return page(f"{names}: explained", main, foot, style=_STYLE.read_text(encoding="utf-8"))


def _head(explanation: Explanation) -> Markup:
    best = max(explanation.models, key=lambda model: model.content.mean if model.content.n else -1.0)
    reference = explanation.reference
    finding = f"{reference.name} puts {with_interval(reference.content)} % of the remaining attention on content words"
    if best is not reference:
        gain = with_interval(best.gain(reference), signed=True)
        finding += (
            f"; {best.name}, the highest here, {with_interval(best.content)} %, a gain of {gain} points"
        )
    return tag(
        "header",
        tag("p", "lastword explain", class_="eyebrow"),
        tag("h1", "Attention of the last token"),
        tag("p", f"{finding}.", class_="note"),
        tag("p", f"{summary(explanation)}.", class_="note"),
    )


def _attention(explanation: Explanation) -> Markup:
    titles = ["Model", "Template, pooling", *KIND_NAMES.values()]
    rows = [
        (model.name, f"{model.template}, {model.pooling}", *map(with_interval, model.kinds.values()))
        for model in explanation.models
    ]
    table = tag("details", tag("summary", "Numbers with their intervals"), _numbers(titles, rows, words=2))
    return section(
        "attention",
        "By kind of token",
        tag("figure", tag("div", render_picture(explanation), class_="wide"), table),
    )


def _content(explanation: Explanation) -> Markup:
    reference, (titles, *rows) = explanation.reference, content_rows(explanation)
    gain = "The gain is paired by text. " if len(rows) > 1 else ""
    note = (
        "The share on content words, which are words of the text that are not stop words, of the attention without "
        f"begin-of-text and the last token itself. With equal weights for all tokens it would be "
        f"{percent(reference.uniform)} %. {gain}Balance is 100 if all remaining tokens have equal weights. All "
        "figures are per cent."
    )
    heading = [title[:1].upper() + title[1:] for title in titles]
    return section("content", "Content words", _numbers(heading, rows), tag("p", note, class_="note"))


def _heads(models: Sequence[ModelExplanation]) -> Markup:
    content = KINDS.index("content")
    top = max(float(model.shares.heads[..., content].max()) for model in models) or 1.0
    maps = [panel(model.name, _head_map(model, content, top)) for model in models]
    note = (
        "Share of each head's attention on content words: a row for each layer, the first at the top, and a column "
        f"for each head. A full square is {percent(top)} %, the highest of all heads here."
    )
    table = tag("details", tag("summary", "Content words by layer"), _layers(models))
    grid = tag("div", *maps, class_="heads")
    return section("heads", "Layers and heads", grid, tag("p", note, class_="note"), table)


def _layers(models: Sequence[ModelExplanation]) -> Markup:
    """Share of the remaining attention on content words: a row for each layer, a column for each model."""
    deepest = max(model.shares.content.shape[1] for model in models)
    columns = [[percent(share.mean) for share in mean_intervals(model.shares.content)] for model in models]
    rows = [
        (str(layer + 1), *(column[layer] if layer < len(column) else "" for column in columns))
        for layer in range(deepest)
    ]
    return _numbers(["Layer", *(model.name for model in models)], rows)


def _head_map(model: ModelExplanation, kind: int, top: float) -> Markup:
    """Squares whose area is the share, so that the map can be read without colours."""
    layers, heads = model.shares.heads.shape[:2]
    size = 200.0 / max(heads, 6)
    cells = []
    for layer in range(layers):
        for head in range(heads):
            share = float(model.shares.heads[layer, head, kind])
            side = (share / top) ** 0.5 * (size - 1)
            x, y = (head + 0.5) * size, (layer + 0.5) * size
            title = tag("title", f"layer {layer + 1}, head {head + 1}: {percent(share)} %")
            cells.append(tag("rect", x=x - size / 2, y=y - size / 2, width=size, height=size, class_="cell"))
            cells.append(tag("rect", title, x=x - side / 2, y=y - side / 2, width=side, height=side))
    label = f"{model.name}: share on content words of {layers} layers with {heads} heads each"
    return svg.inline(label, size * heads, size * layers, *cells)


def _tokens(models: Sequence[ModelExplanation]) -> Markup:
    parts = []
    for i, detail in enumerate(models[0].details):
        parts.append(tag("blockquote", tag("q", detail.text)))
        parts.append(tag("div", _token_tables(models, i), class_="wide"))
    note = "Last layer, mean over heads, in percent; content words are bold. Each column sums to 100."
    return section("tokens", "Token by token", tag("p", note, class_="note"), *parts)


def _token_tables(models: Sequence[ModelExplanation], text: int) -> Markup:
    """A row for each token, a column for each model; models with other templates get separate tables."""
    by_tokens: dict[tuple[str, ...], list[ModelExplanation]] = {}
    for model in models:
        by_tokens.setdefault(tuple(token.token for token in model.details[text].tokens), []).append(model)
    return join(_token_table(group, text) for group in by_tokens.values())


def _token_table(models: Sequence[ModelExplanation], text: int) -> Markup:
    columns = [model.details[text].tokens for model in models]
    top = max(token.weight for column in columns for token in column)
    rows = []
    for tokens in zip(*columns, strict=True):
        bars = [svg.bar(token.weight / top, style=_token_style(token)) for token in tokens]
        shares = [tag("span", percent(token.weight)) for token in tokens]
        cells = [tag("td", tag("div", *cell, class_="weight")) for cell in zip(bars, shares, strict=True)]
        name = tag("th", token_name(tokens[0].token), scope="row")
        rows.append(tag("tr", name, *cells, class_=_token_style(tokens[0])))
    return _table(["Token", *(model.name for model in models)], rows, "bytoken")


def _token_style(token: Token) -> str:
    return "content" if token.content else token.part


def token_name(token: str) -> Markup:
    """A token as code; a note for one that has no visible characters."""
    visible = token.strip()
    return tag("code", visible) if visible else tag("i", "space" if token else "part of a character")


def _geometry(models: Sequence[ModelExplanation]) -> Markup | None:
    titles, *rows = geometry_rows(models)
    if not titles:
        return None
    table = _numbers(["Model", *map(str.capitalize, titles)], rows)
    return section("geometry", "Geometry of the vectors", table, tag("p", _GEOMETRY_NOTE, class_="note"))


def _words(models: Sequence[ModelExplanation]) -> Markup | None:
    if all(detail.words is None for model in models for detail in model.details):
        return None
    parts = []
    for i, detail in enumerate(models[0].details):
        rows = [
            (model.name, words_line(model.details[i].words), ", ".join(model.details[i].distinctive or []))
            for model in models
        ]
        parts += [tag("blockquote", tag("q", detail.text)), _words_table(["Model", "Words"], rows)]
    return section("words", "Nearest words", tag("p", _WORDS_NOTE, class_="note"), *parts)


def _groups(models: Sequence[ModelExplanation]) -> Markup | None:
    parts = []
    for model in models:
        rows = []
        for group in model.groups:
            words, text = ", ".join(group.distinctive or []), shortened(group.examples[0], 120)
            rows.append((f"{group.name} ({group.size:,})", words, text))
        if rows:
            titles = ["Group", "Distinctive words; its most central text"]
            parts += [tag("h3", model.name), _words_table(titles, rows)]
    return section("groups", "Words of the groups", *parts) if parts else None


def _words_table(titles: Sequence[str], rows: Iterable[tuple[str, str, str]]) -> Markup:
    body = []
    for name, first, second in rows:
        words = tag("td", first, tag("br"), tag("span", second, class_="second"))
        body.append(tag("tr", tag("th", name, scope="row"), words))
    return _table(titles, body, "numbers")


def _numbers(titles: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Markup:
    """A table with columns of words first, and of numbers after them."""
    body = []
    for name, *cells in rows:
        columns = [
            tag("td", cell, class_="figure" if i >= words else None) for i, cell in enumerate(cells, 1)
        ]
        body.append(tag("tr", tag("th", name, scope="row"), *columns))
    return tag("div", _table(titles, body, "numbers", words), class_="wide")


def _table(titles: Sequence[str], rows: Iterable[Markup], style: str, words: int | None = None) -> Markup:
    """A table with a heading; titles from column `words` on are aligned like numbers."""
    heading = [
        tag("th", title, scope="col", class_="figure" if words is not None and i >= words else None)
        for i, title in enumerate(titles)
    ]
    return tag("table", tag("thead", tag("tr", *heading)), tag("tbody", *rows), class_=style)
