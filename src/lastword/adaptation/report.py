"""The report of an adaptation as one self-contained HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lastword.adaptation.choosing import Choice
from lastword.adaptation.findings import certainty, findings, label, verdict
from lastword.adaptation.result import GROUPS, AdaptResult
from lastword.adaptation.scoring import LABELLED, ModelRow
from lastword.adaptation.sources import SourceReport
from lastword.console import duration
from lastword.corpus.cluster import MAP
from lastword.demonstration.findings import signed
from lastword.probing.measures import MEASURES
from lastword.report import svg
from lastword.report.markup import Markup, tag
from lastword.report.page import page, panel, section
from lastword.report.table import percent, shortened
from lastword.training.selection import Selection
from lastword.uncertainty import Score

_STYLES = {"adapted": "adapted", "tfidf": "tfidf"}
_SHOWN_GROUPS, _SHOWN_SETTINGS, _EXAMPLE = 20, 12, 110
_STYLE = """
.sure { margin-top: 24px; max-width: 46em; } .sure li { margin: 4px 0; }
.plain td, .plain th { vertical-align: top; border-bottom: 1px solid var(--line); padding-right: 16px; }
.plain td.figure, .plain th.figure { width: 5.5em; } .plain p { font-size: 14px; overflow-wrap: anywhere; }
a { color: var(--accent); }
@media (max-width: 640px) {
  .plain tr { display: flex; flex-wrap: wrap; gap: 0 14px; border-bottom: 1px solid var(--line); padding: 6px 0; }
  .plain td, .plain td.figure { border: none; padding: 0; width: auto; }
  .plain td:first-child { flex: 1; font-weight: 600; }
  .plain td:last-child:not(.figure) { flex-basis: 100%; color: var(--muted); font-size: 14px; }
  .plain thead { display: none; }
}
"""


def render(result: AdaptResult, map_written: bool = True) -> str:
    """The page as a string; the same result gives the same page.

    Args:
        result: what is reported.
        map_written: whether there is a map to link to.
    """
    parts = [
        _head(result),
        _scores(result),
        _groups(result.groups, map_written),
        _pairs(result.sources),
        _choice(result.choice),
        _training(result.losses, result.selection, result.kept),
    ]
    title = f"{result.corpus}: adapted {result.model}"
    return page(title, tag("main", *parts), style=_STYLE)


def _head(result: AdaptResult) -> Markup:
    """The verdict, how sure it is, and the facts of the run."""
    chosen, config = result.choice.chosen, result
    facts = {
        "Rows": f"{result.rows:,}",
        "Training texts": f"{result.training:,}",
        "Test texts": f"{result.test:,}",
        "Steps": f"{result.selection.step:,} of {config.steps:,}",
        "Time": duration(result.seconds),
        "Setting": str(chosen),
    }
    items = (tag("div", tag("dt", name), tag("dd", fact)) for name, fact in facts.items())
    blocks = []
    for finding in findings(result):
        better = finding.difference.verdict == "better"
        number = tag("b", signed(finding.difference.value), class_=None if better else "muted")
        heading = tag("p", number, " ", tag("span", finding.title), class_="verdict")
        blocks.append(tag("div", heading, tag("p", finding.text), class_="finding"))
    return tag(
        "header",
        tag("p", f"{result.model} adapted to {result.corpus}", class_="eyebrow"),
        tag("h1", verdict(result)),
        *blocks,
        tag("ul", *(tag("li", sentence) for sentence in certainty(result)), class_="sure"),
        tag("dl", *items, class_="facts"),
    )


def _scores(result: AdaptResult) -> Markup:
    """All models on one scale, the best first."""
    measure = result.measure
    rows = sorted(result.models, key=lambda row: -row.scores[measure].value)
    top = min(1.0, math.ceil(10 * max(_interval(row.scores[measure])[1] for row in rows)) / 10)
    others = [name for name in result.adapted.scores if name != measure]
    scale = tag("span", "0", class_="low") + tag("span", f"{100 * top:.0f}", class_="high")
    titles = [MEASURES[measure].title, "adapted by", *(MEASURES[name].title for name in others)]
    heading = tag(
        "tr",
        tag("th", "Model", scope="col"),
        *(tag("th", title, scope="col", class_="figure") for title in titles),
        tag("th", Markup(scale), scope="col", class_="scale", aria_label=f"Bar from 0 to {100 * top:.0f}"),
    )
    labelled = measure == LABELLED  # without labels the highest score need not be the best model
    body = [_score_row(result, row, others, top, best=labelled and row is rows[0]) for row in rows]
    note = (
        "In points. Whiskers are 95 % intervals of each score alone; “adapted by” is the paired difference of the "
        "adapted model, which is known more precisely. "
    )
    if labelled:
        note += "V-measure: agreement of k-means clusters with the labels; the dashed line is chance. "
    note += (
        "Without labels: stability is the share of nearest texts that survive noise, agreement that of two "
        "clusterings learned from halves of the texts; neither says which model groups best."
    )
    table = tag("table", tag("thead", heading), tag("tbody", *body), class_="scores")
    return section("scores", "Models compared", table, tag("p", note, class_="note"))


def _score_row(result: AdaptResult, row: ModelRow, others: Sequence[str], top: float, best: bool) -> Markup:
    score = row.scores[result.measure]
    low, high = _interval(score)
    bar = svg.bar(
        score.value / top, style=_STYLES.get(row.kind, "zero-shot"), interval=(low / top, high / top),
        rule=None if score.chance is None else score.chance / top,
    )  # fmt: skip
    by = "" if row is result.adapted else signed(result.adapted.against(row, result.measure).value)
    name = tag("span", label(row), class_="name")
    pill = [tag("span", "best", class_="pill")] if best else []
    return tag(
        "tr",
        tag("th", name, " ", *pill, tag("span", row.setting, class_="setting"), scope="row"),
        tag("td", tag("b", percent(score.value)), class_="figure"),
        tag("td", by, class_="figure muted"),
        *(tag("td", percent(row.scores[name].value), class_="figure muted") for name in others),
        tag("td", bar, class_="scale"),
        class_="best" if best else None,
    )  # fmt: skip


def _interval(score: Score) -> tuple[float, float]:
    margin = 1.96 * math.hypot(score.draw_se, score.text_se or 0.0)
    return score.value - margin, score.value + margin


def _groups(content: Mapping[str, Any], map_written: bool) -> Markup:
    groups = content["groups"]
    rows = [
        (group["name"], f"{group['size']:,}", "–" if group["stability"] is None else f"{group['stability']:.2f}",
         shortened(group["typical"][0]["text"], _EXAMPLE) if group["typical"] else "")
        for group in groups[:_SHOWN_GROUPS]
    ]  # fmt: skip
    rest = len(groups) - len(rows)
    more = f" {rest} smaller groups are in groups/clusters.json." if rest > 0 else ""
    links = [tag("a", "Open the map", href=f"{GROUPS}/{MAP}"), ". "] if map_written else []
    text = tag(
        "p",
        *links,
        f"{content['rows']:,} texts. {content['reason']}.{more}",
        class_="note",
    )
    return section(
        "groups",
        "Groups of the corpus",
        text,
        _table(("Group", "Texts", "Stability", "A typical text"), rows),
    )


def _pairs(sources: Sequence[SourceReport]) -> Markup:
    rows = []
    for source in sources:
        examples = [
            tag("p", f"{shortened(a, _EXAMPLE)} — {shortened(b, _EXAMPLE)}") for a, b in source.examples
        ]
        reasons = [tag("p", f"without: {reason}", class_="muted") for reason in list(source.rejected)[:1]]
        cell = tag("div", *(examples or reasons))
        rows.append((source.name, f"{source.pairs:,}", f"{source.drawn:,}", cell))
    return section("pairs", "Pairs it was trained on", _table(("Source", "Pairs", "Used", "Examples"), rows))


def _choice(choice: Choice) -> Markup:
    text = tag("p", f"Chosen: {choice.chosen}. {choice.reason}", class_="note")
    parts = [text]
    if choice.scores:
        rows = [(name, percent(value)) for name, value in list(choice.scores.items())[:_SHOWN_SETTINGS]]
        titles = ("Template, pooling and layer, before training", MEASURES[choice.measure].title)
        summary = tag("summary", f"The best {len(rows)} of {len(choice.scores)} settings")
        parts.append(tag("details", summary, _table(titles, rows)))
    return section("choice", "Template, pooling and layer", *parts)


def _training(losses: Sequence[float], selection: Selection, kept: str) -> Markup:
    pictures = []
    if losses:
        line = svg.Line("loss", list(enumerate(losses, 1)), 0)
        pictures.append(panel("Loss", svg.line_chart([line], "Loss of each step", "step")))
    if selection.scores:
        points = [(step, 100 * score.value) for step, score in sorted(selection.scores.items())]
        line = svg.Line("score", points, 0, marks=True, ringed=selection.step)
        pictures.append(
            panel("Development score", svg.line_chart([line], "Score of each checkpoint", "step"))
        )
    text = f"The best checkpoint is step {selection.step}: {selection.criterion}."
    if kept == "unadapted":
        text += " It scored lower than the model before training, which was kept."
    figure = tag("figure", tag("div", *pictures, class_="pair"), tag("figcaption", text))
    return section("training", "Training", figure)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table whose columns of numbers are aligned on the right."""
    numeric = {column for column, cell in enumerate(rows[0] if rows else ()) if cell[:1].isdigit() and column}
    kind = ["figure" if column in numeric else None for column in range(len(titles))]
    head = tag("tr", *(tag("th", title, scope="col", class_=kind[i]) for i, title in enumerate(titles)))
    body = [tag("tr", *(tag("td", cell, class_=kind[i]) for i, cell in enumerate(row))) for row in rows]
    return tag("table", tag("thead", head), tag("tbody", *body), class_="plain")
