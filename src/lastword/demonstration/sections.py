"""The parts of the page, from its head to the attention of one text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lastword.console import duration
from lastword.demonstration.content import AttentionPair, Report, TextMap, Training
from lastword.demonstration.findings import (
    Finding,
    attention_finding,
    datasets_of,
    points,
    score_findings,
    setting_of,
    text_share,
    training_finding,
)
from lastword.demonstration.table import Row
from lastword.embedding import TEMPLATES
from lastword.explanation import PARTS, TokenAttention
from lastword.report import svg
from lastword.report.markup import Markup, join, tag
from lastword.report.page import panel, section

_MOST_ROWS, _SHOWN_ROWS = 12, 6
_MODEL_NAMES = {"adapted": "adapted", "zero-shot": "zero-shot", "tfidf": "TF-IDF"}
_PART_NAMES = {
    "bos": "Begin of text",
    "template": "Template",
    "text": "Text",
    "suffix": "Template, after the text",
}


def head(report: Report) -> Markup:
    """Title, findings and the facts of the run."""
    findings = score_findings(report.scores, report.template, report.pooling)
    template = tag("span", report.template, *_wording(report.template))
    facts: dict[str, str] = {
        "Pooling": report.pooling,
        "Steps": f"{report.steps:,}",
        "Pairs": f"{report.pairs:,}",
        "Time": duration(report.seconds),
        "Peak memory": f"{report.peak_memory_mb:,} MiB",
        "Template": template,
    }
    return tag(
        "header",
        tag("p", "lastword demo", class_="eyebrow"),
        tag("h1", f"{report.model} before and after adaptation"),
        *(_finding(finding) for finding in findings),
        tag(
            "dl",
            *(tag("div", tag("dt", name), tag("dd", fact)) for name, fact in facts.items()),
            class_="facts",
        ),
    )


def _finding(finding: Finding) -> Markup:
    verdict = tag("b", finding.verdict), " ", tag("span", finding.dataset)
    return tag("div", tag("p", *verdict, class_="verdict"), tag("p", finding.text), class_="finding")


def _wording(template: str) -> list[Markup]:
    return [tag("q", TEMPLATES[template], class_="wording")] if template in TEMPLATES else []


def scores(rows: Sequence[Row]) -> Markup:
    """A table for each data set, all bars on one scale."""
    top = math.ceil(max(10 * (row["v_measure"] + row["std"]) for row in rows)) / 10
    note = (
        "V-measure, in points: how well k-means clusters of the vectors agree with the labels. "
        "± and the whiskers are one standard deviation over starts of k-means and, for adapted models, over "
        "seeds of the training. The band in the sentences above is two standard deviations of a difference. "
        "Neither says how much other texts would change the scores."
    )
    tables = [part for name, own in datasets_of(rows) for part in _dataset(name, own, top)]
    return section("scores", "Scores", *tables, tag("p", note, class_="note"))


def _dataset(name: str, rows: list[Row], top: float) -> list[Markup]:
    """The table of one data set; many zero-shot settings are folded away."""
    zero_shot = [row for row in rows if row["model"] == "zero-shot"]
    folded = zero_shot[_SHOWN_ROWS:] if len(rows) > _MOST_ROWS else []
    shown = [row for row in rows if not any(row is other for other in folded)]
    parts = [_score_table(name, shown, rows[0], top)]
    if folded:
        summary = tag("summary", f"{len(folded)} more zero-shot settings")
        parts.append(tag("details", summary, _score_table(f"{name}: further settings", folded, rows[0], top)))
    return parts


def _score_table(name: str, rows: list[Row], best: Row, top: float) -> Markup:
    scale = tag("span", "0", class_="low") + tag("span", f"{100 * top:.0f}", class_="high")
    titles = (
        tag("th", "Setting", scope="col"),
        tag("th", "V-measure", scope="col", class_="figure"),
        tag("th", Markup(scale), scope="col", class_="scale", aria_label=f"Bar from 0 to {100 * top:.0f}"),
    )
    return tag(
        "table",
        tag("caption", name),
        tag("thead", tag("tr", *titles)),
        tag("tbody", *(_score_row(row, row is best, top) for row in rows)),
        class_="scores",
    )


def _score_row(row: Row, is_best: bool, top: float) -> Markup:
    model: str = row["model"]
    name = tag("span", _MODEL_NAMES.get(model, model), class_="name")
    mark = [tag("span", "best", class_="pill")] if is_best else []
    setting = setting_of(row) or "counts of words"
    score = (tag("b", points(row["v_measure"])), " ", tag("span", f"± {points(row['std'])}", class_="muted"))
    ends = (row["v_measure"] - row["std"]) / top, (row["v_measure"] + row["std"]) / top
    bar = svg.bar(row["v_measure"] / top, style=model, interval=ends)
    return tag(
        "tr",
        tag("th", name, " ", *mark, tag("span", setting, class_="setting"), scope="row"),
        tag("td", *score, class_="figure"),
        tag("td", bar, class_="scale"),
        class_="best" if is_best else None,
    )


def text_map(texts: TextMap) -> Markup:
    """The two maps side by side, a legend to pick a label from, and a line for the text pointed at."""
    kinds = {label: kind for kind, label in enumerate(sorted(set(texts.labels)))}
    rows = [kinds[label] for label in texts.labels]
    titles = [f"{label}: {text}" for label, text in zip(texts.labels, texts.texts, strict=True)]
    sides = (("Before", texts.before_name, texts.before), ("After", texts.after_name, texts.after))
    maps = []
    for side, name, places in sides:
        title = f"{side}: {name}" if name else side
        maps.append(panel(title, svg.point_map(places, rows, titles, f"Map of {len(rows)} texts. {title}")))
    legend = [
        tag(
            "button", svg.symbol_sample(kind), label, type="button", data_kind=str(kind), aria_pressed="false"
        )
        for label, kind in kinds.items()
    ]
    caption = (
        f"{texts.name}: each mark is one of {len(rows)} texts, each colour and shape one of {len(kinds)} labels. "
        "Texts whose vectors are alike lie together (t-SNE); where a group lies, how large it is and how far "
        "from others means nothing. Good vectors gather the marks of one label in one place."
    )
    return section(
        "map",
        "Map of the texts",
        tag(
            "figure",
            tag("div", *maps, class_="pair"),
            tag("p", "Point at a mark to read its text in both maps.", class_="readout", aria_live="polite"),
            tag("div", *legend, class_="legend", role="group", aria_label="Highlight a label"),
            tag("figcaption", caption),
            class_="maps",
        ),
    )


def training(trainings: Sequence[Training]) -> Markup:
    """The loss of every step and the development score of every checkpoint, a line for each seed."""
    panels = [panel("Loss of each step", svg.line_chart(_losses(trainings), "Loss of each step", "step"))]
    scored = [line for line in _development(trainings) if line.points]
    if scored:
        before = trainings[0].selection.scores[0].value
        rule = (100 * before, "before training")
        chart = svg.line_chart(scored, "Development score at each checkpoint", "step", rule)
        panels.append(panel("Development score at each checkpoint", chart))
    keys = [tag("li", svg.line_sample(i), f"seed {run.seed}") for i, run in enumerate(trainings)]
    keys += [tag("li", svg.ring_sample(), "kept")] if scored else []
    return section(
        "training",
        "Training",
        tag(
            "figure",
            tag("div", *panels, class_="pair"),
            tag("ul", *keys, class_="legend"),
            tag("figcaption", training_finding(trainings)),
        ),
    )


def _losses(trainings: Sequence[Training]) -> list[svg.Line]:
    return [
        svg.Line(f"seed {run.seed}", list(enumerate(run.losses, start=1)), style)
        for style, run in enumerate(trainings)
    ]


def _development(trainings: Sequence[Training]) -> list[svg.Line]:
    lines = []
    for style, run in enumerate(trainings):
        scored = [(float(step), 100 * score.value) for step, score in sorted(run.selection.scores.items())]
        lines.append(svg.Line(f"seed {run.seed}", scored, style, marks=True, ringed=run.selection.step))
    return lines


def attention(pair: AttentionPair) -> Markup:
    """Two tables of tokens with bars on one scale."""
    top = max(token.weight for token in (*pair.before, *pair.after))
    tables = [
        _attention_table(name, tokens, top)
        for name, tokens in (("Before", pair.before), ("After", pair.after))
    ]
    caption = (
        f"{attention_finding(pair.before, pair.after)} Last layer, mean over heads; the shares of one side "
        "sum to 100%, begin-of-text included where the model has it."
    )
    return section(
        "attention",
        "Where the last token looks",
        tag("p", "The text: ", tag("q", pair.text)),
        tag("figure", tag("div", *tables, class_="pair"), tag("figcaption", caption)),
    )


def _attention_table(name: str, tokens: Sequence[TokenAttention], top: float) -> Markup:
    bodies = []
    for part in PARTS:
        own = [token for token in tokens if token.part == part]
        if own:
            title = tag("th", _PART_NAMES[part], scope="rowgroup", colspan="2")
            share = tag("td", f"{text_share(tokens, part):.0%}", class_="figure")
            rows = [_token_row(token, top) for token in own]
            bodies.append(tag("tbody", tag("tr", title, share, class_="part"), *rows, class_=part))
    titles = (tag("th", title, scope="col") for title in ("Token", "Attention", "Share"))
    titles_row = tag("thead", tag("tr", *titles), class_="unseen")
    return tag("table", tag("caption", name), titles_row, *bodies, class_="tokens")


def _token_row(token: TokenAttention, top: float) -> Markup:
    shown = token.token.strip()
    name = tag("code", shown) if shown else tag("i", "blank" if token.token else "part of a character")
    return tag(
        "tr",
        tag("th", name, scope="row"),
        tag("td", svg.bar(token.weight / top, style=token.part), class_="scale"),
        tag("td", f"{100 * token.weight:.1f}", class_="figure"),
    )


def foot(versions: Iterable[tuple[str, str]]) -> Markup:
    """What made it."""
    return tag("footer", "Made with ", join((f"{name} {version}" for name, version in versions), ", "), ".")
