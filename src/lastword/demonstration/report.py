"""The report of the demo as one self-contained HTML file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lastword.console import duration
from lastword.demonstration.findings import (
    Finding,
    attention_finding,
    score_findings,
    share_of,
    signed,
    training_finding,
)
from lastword.demonstration.result import (
    AttentionPair,
    DemoResult,
    ScoreRow,
    TextMap,
    TrainingRun,
    points,
    rows_by_dataset,
)
from lastword.embedding import TEMPLATES
from lastword.explanation import PARTS, Part, TokenAttention
from lastword.explanation.page import token_name
from lastword.report import svg
from lastword.report.markup import Markup, join, tag
from lastword.report.page import page, panel, section
from lastword.uncertainty import Summary, compare

_MAX_ROWS, _VISIBLE_ZERO_SHOT = 12, 6
_MODEL_NAMES = {"adapted": "adapted", "zero-shot": "zero-shot", "tfidf": "TF-IDF"}
_PART_NAMES: dict[Part, str] = {
    "bos": "Begin of text",
    "template": "Template",
    "text": "Text",
    "suffix": "Template, after the text",
}
_SCORES_NOTE = (
    "V-measure, in points: agreement of k-means clusters with the labels. The dashed line is chance, the V-measure "
    "with shuffled labels. AMI is corrected for chance: 0 is chance, 100 is equal. ± draws is the standard error over "
    "the bootstraps of k-means and, for adapted models, the training seeds; ± texts is the standard error over other "
    "texts of the same kind. Whiskers are 95 % intervals from both. Models are compared by their difference on the "
    "same texts, draws and seeds, which is known more precisely than the scores themselves."
)
_SCRIPT = Path(__file__).with_name("report.js")


def render(result: DemoResult) -> str:
    """The page as a string; the same result gives the same page."""
    parts = [_head(result)]
    if result.scores:
        parts.append(_scores(result.scores))
    if result.text_map:
        parts.append(_text_map(result.text_map))
    if result.runs:
        parts.append(_training(result.runs))
    if result.attention:
        parts.append(_attention(result.attention))
    script = _SCRIPT.read_text(encoding="utf-8")
    title = f"{result.model}: lastword demo"
    versions = (f"{package} {version}" for package, version in result.versions.items())
    foot = tag("footer", "Made with ", join(versions, ", "), ".")
    return page(title, tag("main", *parts), foot, script=script)


def _head(result: DemoResult) -> Markup:
    """Title, findings and the facts of the run."""
    wording = [tag("q", TEMPLATES[result.template], class_="wording")] if result.template in TEMPLATES else []
    facts: dict[str, str] = {
        "Pooling": result.pooling + (f", layer {result.layer}" if result.layer else ""),
        "Steps": f"{result.steps:,}",
        "Pairs": f"{result.pairs:,}",
        "Time": f"{duration(result.seconds)}, {result.threads} core{'s' * (result.threads > 1)}",
        "Peak memory": f"{result.peak_memory_mb:,} MiB",
        "Template": tag("span", result.template, *wording),
    }
    items = (tag("div", tag("dt", name), tag("dd", fact)) for name, fact in facts.items())
    return tag(
        "header",
        tag("p", "lastword demo", class_="eyebrow"),
        tag("h1", f"{result.model} before and after adaptation"),
        *map(_finding, score_findings(result)),
        tag("dl", *items, class_="facts"),
    )


def _finding(finding: Finding) -> Markup:
    verdict = finding.difference.verdict
    number = tag("b", signed(finding.difference.value), class_=None if verdict == "better" else "muted")
    heading = tag("p", number, " ", tag("span", f"{finding.dataset}: {verdict}"), class_="verdict")
    return tag("div", heading, tag("p", finding.text), class_="finding")


def _scores(rows: Sequence[ScoreRow]) -> Markup:
    """A table for each data set, all bars on one scale."""
    top = min(1.0, math.ceil(10 * max(_interval(row.summary)[1] for row in rows)) / 10)
    tables = [part for name, ranked in rows_by_dataset(rows).items() for part in _dataset(name, ranked, top)]
    return section("scores", "Scores", *tables, tag("p", _SCORES_NOTE, class_="note"))


def _interval(summary: Summary) -> tuple[float, float]:
    """The 95 % interval of a score, from draws, seeds and texts."""
    margin = 1.96 * math.hypot(summary.draw_se, summary.text_se or 0.0)
    return summary.value - margin, summary.value + margin


def _dataset(name: str, rows: list[ScoreRow], top: float) -> list[Markup]:
    """The table of one data set; of many zero-shot settings, the lower ones are folded."""
    zero_shot = [row for row in rows if row.model == "zero-shot"]
    folded = zero_shot[_VISIBLE_ZERO_SHOT:] if len(rows) > _MAX_ROWS else []
    visible = [row for row in rows if not any(row is other for other in folded)]
    parts = [_score_table(name, visible, rows[0], top)]
    if folded:
        summary = tag("summary", f"{len(folded)} more zero-shot settings")
        parts.append(tag("details", summary, _score_table(f"{name}: more settings", folded, rows[0], top)))
    return parts


def _score_table(name: str, rows: list[ScoreRow], best: ScoreRow, top: float) -> Markup:
    scale = tag("span", "0", class_="low") + tag("span", f"{100 * top:.0f}", class_="high")
    figures = [("V-measure", "figure"), ("± draws", "figure"), ("± texts", "figure"), ("AMI", "figure")]
    titles = (
        tag("th", "Setting", scope="col"),
        *(tag("th", title, scope="col", class_=class_) for title, class_ in figures),
        tag("th", Markup(scale), scope="col", class_="scale", aria_label=f"Bar from 0 to {100 * top:.0f}"),
    )
    return tag(
        "table",
        tag("caption", name),
        tag("thead", tag("tr", *titles)),
        tag("tbody", *(_score_row(row, best, top) for row in rows)),
        class_="scores",
    )


def _score_row(row: ScoreRow, best: ScoreRow, top: float) -> Markup:
    summary = row.summary
    name = tag("span", _MODEL_NAMES.get(row.model, row.model), class_="name")
    setting = row.setting or "word counts"
    errors = (summary.draw_se, summary.text_se, summary.ami)
    low, high = _interval(summary)
    bar = svg.bar(
        summary.value / top,
        style=row.model,
        interval=(low / top, high / top),
        rule=None if summary.chance is None else summary.chance / top,
    )
    return tag(
        "tr",
        tag("th", name, " ", *_rank(row, best), tag("span", setting, class_="setting"), scope="row"),
        tag("td", tag("b", points(summary.value)), class_="figure"),
        *(tag("td", points(value), class_="figure muted") for value in errors),
        tag("td", bar, class_="scale"),
        class_="best" if row is best else None,
    )


def _rank(row: ScoreRow, best: ScoreRow) -> list[Markup]:
    """Marks the best row and those that are not distinguishable from it."""
    if row is best:
        return [tag("span", "best", class_="pill")]
    if compare(row.scores, best.scores).verdict == "not distinguishable":
        title = "not distinguishable from the best"
        return [tag("span", "≈ best", class_="pill near", title=title)]
    return []


def _text_map(text_map: TextMap) -> Markup:
    """The two maps side by side, a legend for highlighting labels, and a line for the selected text."""
    counts = Counter(text_map.labels)
    coloured = sorted(counts, key=lambda label: (-counts[label], label))[: svg.COLOURS]
    kinds = {label: kind for kind, label in enumerate(coloured)}
    kind_of = [kinds.get(label) for label in text_map.labels]
    titles = [f"{label}: {text}" for label, text in zip(text_map.labels, text_map.texts, strict=True)]
    sides = {
        f"Before: {text_map.before_name}": text_map.before, f"After: {text_map.after_name}": text_map.after,
    }  # fmt: skip
    maps = []
    for title, coordinates in sides.items():
        label = f"Map of {len(kind_of)} texts. {title}"
        maps.append(panel(title, svg.point_map(coordinates, kind_of, titles, coloured, label)))
    others = len(counts) - len(coloured)
    legend = [_map_key(str(kind), svg.symbol_sample(kind), label) for label, kind in kinds.items()]
    if others:
        legend.append(_map_key("rest", svg.symbol_sample(None), f"{others} other labels"))
    caption = (
        f"{text_map.name}: each mark is one of {len(kind_of)} texts"
        + (f"; {len(coloured)} of {len(counts)} labels are coloured. " if others else ". ")
        + "Texts with similar vectors are close to each other (t-SNE); the position of a group, its size and its "
        "distance to others have no meaning. With good vectors, the marks of one label form a group."
    )
    figure = tag(
        "figure",
        tag("div", *maps, class_="pair"),
        tag("p", "Point at a mark to read its text in both maps.", class_="readout", aria_live="polite"),
        tag("div", *legend, class_="legend", role="group", aria_label="Highlight a label"),
        tag("figcaption", caption),
        class_="maps",
    )
    return section("map", "Map of the texts", figure)


def _map_key(kind: str, sample: Markup, label: str) -> Markup:
    return tag("button", sample, label, type="button", data_kind=kind, aria_pressed="false")


def _training(runs: Sequence[TrainingRun]) -> Markup:
    """The loss of every step and the development score of every checkpoint, a line for each seed."""
    losses, scores = [], []
    for style, run in enumerate(runs):
        name, by_step = f"seed {run.seed}", sorted(run.selection.scores.items())
        losses.append(svg.Line(name, list(enumerate(run.losses, start=1)), style))
        curve = [(float(step), 100 * score.value) for step, score in by_step]
        scores.append(svg.Line(name, curve, style, marks=True, ringed=run.selection.step))
    panels = [panel("Loss of each step", svg.line_chart(losses, "Loss of each step", "step"))]
    keys = [tag("li", svg.line_sample(style), f"seed {run.seed}") for style, run in enumerate(runs)]
    scored = [line for line in scores if line.points]
    if scored:
        title = "Development score at each checkpoint"
        rule = (100 * runs[0].selection.scores[0].value, "before training")
        panels.append(panel(title, svg.line_chart(scored, title, "step", rule)))
        keys.append(tag("li", svg.ring_sample(), "selected"))
    legend, caption = tag("ul", *keys, class_="legend"), tag("figcaption", training_finding(runs))
    return section("training", "Training", tag("figure", tag("div", *panels, class_="pair"), legend, caption))


def _attention(pair: AttentionPair) -> Markup:
    """Two tables of tokens with bars on one scale."""
    top = max(token.weight for token in (*pair.before, *pair.after))
    sides = (("Before", pair.before), ("After", pair.after))
    tables = [_attention_table(name, tokens, top) for name, tokens in sides]
    caption = (
        f"{attention_finding(pair.before, pair.after)} Last layer, mean over heads; the shares of each side "
        "sum to 100%, begin-of-text included if the model has it."
    )
    figure = tag("figure", tag("div", *tables, class_="pair"), tag("figcaption", caption))
    text = tag("p", "The text: ", tag("q", pair.text))
    return section("attention", "Attention of the last token", text, figure)


def _attention_table(name: str, tokens: Sequence[TokenAttention], top: float) -> Markup:
    bodies = []
    for part in PARTS:
        rows = [_token_row(token, top) for token in tokens if token.part == part]
        if rows:
            title = tag("th", _PART_NAMES[part], scope="rowgroup", colspan="2")
            share = tag("td", f"{share_of(tokens, part):.0%}", class_="figure")
            bodies.append(tag("tbody", tag("tr", title, share, class_="part"), *rows, class_=part))
    titles = (tag("th", title, scope="col") for title in ("Token", "Attention", "Share"))
    heading = tag("thead", tag("tr", *titles), class_="unseen")
    return tag("table", tag("caption", name), heading, *bodies, class_="tokens")


def _token_row(token: TokenAttention, top: float) -> Markup:
    return tag(
        "tr",
        tag("th", token_name(token.token), scope="row"),
        tag("td", svg.bar(token.weight / top, style=token.part), class_="scale"),
        tag("td", f"{100 * token.weight:.1f}", class_="figure"),
    )
