"""The page: well formed, self-contained, reproducible, and with every number."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.demonstration.conftest import result, row, score

from lastword.demonstration.report import render
from lastword.demonstration.result import AttentionPair, DemoResult, TextMap, TrainingRun
from lastword.explanation import TokenAttention
from lastword.training.selection import Selection

VOID = {"meta", "br"}
EVIL = '<script>alert("x")</script> & <img src=https://example.org/x>'
LABELS = [f"label {number:02d}" for number in range(18)]


class Page(HTMLParser):
    """Collects elements with their attributes, and text by element; fails if tags do not close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> where another was open"

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def count(self, name: str, **attributes: str) -> int:
        return sum(
            tag == name and all(attrs.get(key.rstrip("_")) == value for key, value in attributes.items())
            for tag, attrs in self.elements
        )


def tokens(*weights: float) -> list[TokenAttention]:
    parts = ("bos", "template", "text", "text", "suffix")
    pieces = ("<s>", 'This: "', " tent", "", '" means:')
    return [TokenAttention(*token) for token in zip(pieces, parts, weights, strict=True)]  # type: ignore[arg-type]


@pytest.fixture
def report() -> DemoResult:
    points = np.random.default_rng(0).normal(size=(36, 2)).astype(np.float32)
    curve = {step: score(value) for step, value in ((0, 0.3), (5, 0.352), (10, 0.341))}
    return result(
        *(
            row(model, *(value + i / 100 for value in values), spread=0.005, dataset=name)
            for i, name in enumerate(("topics", "products"))
            for model, values in (("zero-shot", [0.312]), ("adapted", [0.4467, 0.4667]), ("tfidf", [0.2231]))
        ),
        runs=[
            TrainingRun(seed, [4.0, 3.0, 2.5 + seed], Selection("V-measure on topics (dev)", 5, curve))
            for seed in range(3)
        ],
        text_map=TextMap(
            "products, test split",
            [f"text {n}" for n in range(36)],
            LABELS * 2,
            points,
            -points,
            "one",
            "two",
        ),
        attention=AttentionPair("a tent", tokens(0.5, 0.1, 0.2, 0.1, 0.1), tokens(0.3, 0.1, 0.4, 0.1, 0.1)),
    )


def test_page_is_balanced_and_named(report: DemoResult) -> None:
    page = Page(render(report))
    assert page.texts["h1"] == ["mini before and after adaptation"]
    assert page.texts["h2"] == ["Scores", "Map of the texts", "Training", "Attention of the last token"]
    assert render(report).startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')
    names = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)
    assert set(names.values()) == {1}
    assert {attrs["aria-labelledby"] for tag, attrs in page.elements if tag == "section"} == set(names)


def test_page_loads_nothing(report: DemoResult) -> None:
    html = render(report)
    assert not re.search(r"https?://|//\w+\.|url\(|@import|\bfetch\(|XMLHttp|import\(", html)
    for tag, attrs in Page(html).elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "a"}
        assert not {"src", "href", "srcset", "action", "data", "style"} & set(attrs), (tag, attrs)
    (policy,) = [
        attrs["content"]
        for _, attrs in Page(html).elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def test_facts_of_the_run_are_shown(report: DemoResult) -> None:
    facts = "".join(Page(render(report)).texts["dd"])
    for fact in ("lasttoken", "10", "2,400", "3 min 20 s", "2,210 MiB"):
        assert fact in facts
    assert "This sentence: &quot;{text}&quot; belongs to the following cluster:" in render(report)
    assert "lastword 0.1.0, torch 2.13.0" in "".join(Page(render(report)).texts["footer"])


def test_every_score_is_shown_best_first_and_marked(report: DemoResult) -> None:
    page = Page(render(report))
    assert page.texts["caption"][:2] == ["topics, test split", "products, test split"]
    assert page.texts["b"][2:] == ["45.7", "31.2", "22.3", "46.7", "32.2", "23.3"]
    for scores in report.scores:
        summary = scores.summary
        for value in (summary.draw_se, summary.text_se, summary.ami):
            assert f'<td class="figure muted">{100 * value:.1f}</td>' in render(report)
    marked = re.findall(r'class="name">([^<]+)</span> <span class="pill">best', render(report))
    assert marked == ["adapted"] * 2
    top = 50  # the next round number above the whiskers
    widths = re.findall(r'width="([\d.]+)%" class="(adapted|zero-shot|tfidf)"', render(report))
    expected = [100 * value / top for value in (45.67, 31.2, 22.31)]
    assert [float(width) for width, _ in widths[:3]] == pytest.approx(expected, abs=0.01)
    chance = re.findall(r'<line x1="([\d.]+)%" x2="[\d.]+%" y1="0" y2="20" class="rule"/>', render(report))
    assert [float(x) for x in chance] == pytest.approx([17.2 / 0.5] * 6, abs=0.01)


def test_rows_that_are_not_distinguishable_from_the_best_are_marked(report: DemoResult) -> None:
    rows = [
        row("adapted", 0.4, spread=0.02),
        row("tfidf", 0.41, spread=0.02),
        row("zero-shot", 0.1, spread=0.02),
    ]
    html = render(dataclasses.replace(report, scores=rows))
    assert re.findall(r'class="name">([^<]+)</span> <span class="pill">best', html) == ["TF-IDF"]
    near = r'class="name">([^<]+)</span> <span class="pill near" title="not distinguishable from the best">≈ best'
    assert re.findall(near, html) == ["adapted"]


def test_findings_start_the_page(report: DemoResult) -> None:
    html = render(report)
    assert page_text(html, "verdict")[:2] == ["+14.5 topics: better", "+14.5 products: better"]
    first = html.index("On topics the adapted model is better than the best zero-shot setting")
    assert first < html.index("On products the adapted model is better") < html.index("<h2")


def page_text(html: str, style: str) -> list[str]:
    """Text of every paragraph of a class."""
    paragraphs = re.findall(rf'<p class="{style}">(.*?)</p>', html)
    return [re.sub("<[^>]+>", "", paragraph) for paragraph in paragraphs]


def test_many_zero_shot_settings_are_folded_not_left_out(report: DemoResult) -> None:
    rows = [row("zero-shot", 0.2 + n / 1000, template=f"t{n}", pooling="lasttoken") for n in range(20)]
    rows += [row("tfidf", 0.1), row("adapted", 0.15)]
    html = render(dataclasses.replace(report, scores=rows))
    visible, folded = html.split("<details>")
    assert "14 more zero-shot settings" in folded
    assert "t19, lasttoken" in visible
    assert visible.count("<tbody>") == 1
    assert len(re.findall(r'scope="row"', visible)) == 8
    for n in range(20):
        assert html.count(f">t{n}, lasttoken<") == 1
    assert html.count('class="pill">best') == 1
    Page(html)


def test_tables_have_header_cells(report: DemoResult) -> None:
    page = Page(render(report))
    rows, columns = page.count("th", scope="row"), page.count("th", scope="col")
    assert rows == 6 + 2 * 5
    assert columns == 2 * 6 + 2 * 3
    assert page.count("th", scope="rowgroup") == 2 * 4


def test_pictures_have_a_label_or_are_hidden_from_screen_readers(report: DemoResult) -> None:
    for tag, attrs in Page(render(report)).elements:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs["role"] == "img" and attrs["aria-label"])
        if tag == "button":
            assert attrs["type"] == "button"


def test_each_text_is_a_mark_on_both_maps_and_each_label_a_button(report: DemoResult) -> None:
    page = Page(render(report))
    marks = [attrs for tag, attrs in page.elements if tag == "path" and "data-row" in attrs]
    assert Counter(attrs["data-row"] for attrs in marks) == {str(row): 2 for row in range(36)}
    assert page.texts["title"].count("label 17: text 35") == 2
    assert [text for text in page.texts["button"] if text.strip()] == [*sorted(LABELS)[:10], "8 other labels"]
    assert page.texts["h3"][:2] == ["Before: one", "After: two"]
    buttons = {attrs["data-kind"] for tag, attrs in page.elements if tag == "button"}
    assert buttons == {attrs["data-kind"] for attrs in marks} == {*map(str, range(10)), "rest"}
    assert [sum(attrs["data-kind"] == kind for attrs in marks) for kind in ("0", "rest")] == [4, 32]
    names = re.findall(r'text-anchor="middle">(label \d+)</text>', render(report))
    assert sorted(names) == sorted(2 * sorted(LABELS)[:10]), "each coloured label is named on both maps"


def test_with_few_labels_none_is_grey(report: DemoResult) -> None:
    assert report.text_map
    few = dataclasses.replace(report.text_map, labels=["left", "right"] * 18)
    page = Page(render(dataclasses.replace(report, text_map=few)))
    assert [text for text in page.texts["button"] if text.strip()] == ["left", "right"]
    assert "rest" not in {attrs.get("data-kind") for _, attrs in page.elements}


def test_selected_checkpoints_are_ringed(report: DemoResult) -> None:
    html = render(report)
    assert html.count('r="7" class="ring"') == 3
    assert html.count("<polyline") == 6
    assert "step 5 (seed 2) with 35.2" in html
    assert ">before training</text>" in html


def test_training_without_scores_shows_the_loss_alone(report: DemoResult) -> None:
    runs = [TrainingRun(0, [2.0], Selection("last step (too few pairs to hold any out)", 1, {}))]
    html = render(dataclasses.replace(report, runs=runs))
    assert "Development score" not in html
    assert "nan" not in Page(html).texts["figcaption"][1]
    assert 'class="ring"' not in html


def test_attention_is_shown_by_token_and_by_part(report: DemoResult) -> None:
    page = Page(render(report))
    assert page.texts["caption"][-2:] == ["Before", "After"]
    assert [text for text in page.texts["code"] if text.strip()] == ["<s>", 'This: "', "tent", '" means:'] * 2
    assert page.texts["i"] == ["part of a character"] * 2
    shares = re.findall(
        r'<th scope="rowgroup" colspan="2">([^<]+)</th><td class="figure">([^<]+)<', render(report)
    )
    assert shares[:4] == [
        ("Begin of text", "50%"),
        ("Template", "10%"),
        ("Text", "30%"),
        ("Template, after the text", "10%"),
    ]
    assert shares[6] == ("Text", "50%")
    bars = re.findall(r'width="([\d.]+)%" class="(?:bos|template|text|suffix)"', render(report))
    assert [float(bar) for bar in bars[:5]] == [100, 20, 40, 20, 20]
    assert float(bars[5]) == 60


def test_texts_never_become_tags(report: DemoResult) -> None:
    assert report.text_map
    assert report.attention
    rows = [
        row("adapted", 0.4, dataset=EVIL, template=EVIL, pooling=EVIL, split=EVIL),
        dataclasses.replace(row("adapted", 0.5, dataset=EVIL), model=EVIL),
    ]
    evil = dataclasses.replace(
        report,
        model=EVIL,
        template=EVIL,
        pooling=EVIL,
        versions={EVIL: EVIL},
        scores=rows,
        runs=[TrainingRun(0, [1.0], Selection(EVIL, 1, {0: score(0.3), 1: score(0.4)}))],
        text_map=dataclasses.replace(
            report.text_map,
            name=EVIL,
            texts=[EVIL] * 36,
            labels=[EVIL] * 36,
            before_name=EVIL,
            after_name=EVIL,
        ),
        attention=dataclasses.replace(
            report.attention, text=EVIL, before=[TokenAttention(EVIL, "text", 1.0)]
        ),
    )
    html = render(evil)
    page = Page(html)
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert EVIL not in html
    assert page.texts["title"].count(f"{EVIL}: {EVIL}") == 72
    assert EVIL in page.texts["code"]


def test_sections_without_content_are_left_out(report: DemoResult) -> None:
    bare = dataclasses.replace(report, scores=[], runs=[], text_map=None, attention=None)
    page = Page(render(bare))
    assert "h2" not in page.texts
    assert page.texts["h1"] == ["mini before and after adaptation"]


def test_the_same_result_gives_the_same_page(report: DemoResult) -> None:
    assert render(report) == render(dataclasses.replace(report))


def test_both_colour_schemes_define_every_colour(report: DemoResult) -> None:
    css = "".join(Page(render(report)).texts["style"])
    light, dark = re.findall(r":root \{([^}]+)\}", css)
    named = set(re.findall(r"(--[\w-]+):", light))
    assert named == set(re.findall(r"(--[\w-]+):", dark)) == set(re.findall(r"var\((--[\w-]+)\)", css))


def test_script_and_style_refer_only_to_what_is_on_the_page(report: DemoResult) -> None:
    near = row("zero-shot", 0.4566, spread=0.005, dataset="topics", pooling="lasttoken")
    page = Page(render(dataclasses.replace(report, scores=[*report.scores, near])))
    css, script = "".join(page.texts["style"]), "".join(page.texts["script"])
    classes = {name for _, attrs in page.elements for name in (attrs.get("class") or "").split()}
    queried = set(re.findall(r'querySelector(?:All)?\("\.([\w-]+)', script))
    set_by_script = set(re.findall(r'classList\.toggle\("([\w-]+)"', script))
    styled = set(re.findall(r"\.([a-z][\w-]*)(?=[^{}]*\{)", css))
    assert queried == {"maps", "readout", "chart", "dot"}
    assert queried <= classes
    assert styled - classes - set_by_script == {"s3"}  # the dashes of a fourth seed
