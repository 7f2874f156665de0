"""The page: whole, closed to the outside, the same every time, and every number on it."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.training.conftest import made_score

from lastword.demonstration.report import AttentionPair, Report, TextMap, Training, render, write_report
from lastword.demonstration.table import Row
from lastword.explanation import TokenAttention
from lastword.training import Selection

VOID = {"meta", "br"}
EVIL = '<script>alert("x")</script> & <img src=https://example.org/x>'
LABELS = [f"label {number:02d}" for number in range(18)]


class Page(HTMLParser):
    """Every element with its attributes, all text, and a failure where tags do not close in order."""

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
            tag == name and all(own.get(key.rstrip("_")) == value for key, value in attributes.items())
            for tag, own in self.elements
        )


def scored(dataset: str, model: str, score: float, **changes: object) -> Row:
    template, pooling = (None, None) if model == "tfidf" else ("ccw", "lasttoken")
    return {
        "dataset": dataset, "split": "test", "model": model, "template": template, "pooling": pooling,
        "v_measure": score, "std": 0.0122, **changes,
    }  # fmt: skip


def tokens(*weights: float) -> list[TokenAttention]:
    parts = ("bos", "template", "text", "text", "suffix")
    pieces = ("<s>", 'This: "', " tent", "", '" means:')
    return [TokenAttention(*one) for one in zip(pieces, parts, weights, strict=True)]  # type: ignore[arg-type]


@pytest.fixture
def report() -> Report:
    places = np.random.default_rng(0).normal(size=(36, 2)).astype(np.float32)
    curve = {step: made_score(value) for step, value in {0: 0.3, 5: 0.352, 10: 0.341}.items()}
    return Report(
        model="mini",
        template="ccw",
        pooling="lasttoken",
        steps=10,
        pairs=2400,
        seconds=200.0,
        peak_memory_mb=2210,
        versions={"lastword": "0.1.0", "torch": "2.13.0"},
        scores=[
            scored(name, model, score + place / 100)
            for place, name in enumerate(("topics", "products"))
            for model, score in (("zero-shot", 0.312), ("adapted", 0.4567), ("tfidf", 0.2231))
        ],
        trainings=[
            Training(seed, [4.0, 3.0, 2.5 + seed], Selection("V-measure on topics (dev)", 5, curve))
            for seed in range(3)
        ],
        map=TextMap(
            "products, test split",
            [f"text {n}" for n in range(36)],
            LABELS * 2,
            places,
            -places,
            "one",
            "two",
        ),
        attention=AttentionPair("a tent", tokens(0.5, 0.1, 0.2, 0.1, 0.1), tokens(0.3, 0.1, 0.4, 0.1, 0.1)),
    )


def test_page_is_balanced_and_named(report: Report) -> None:
    page = Page(render(report))
    assert page.texts["h1"] == ["mini before and after adaptation"]
    assert page.texts["h2"] == ["Scores", "Map of the texts", "Training", "Where the last token looks"]
    assert render(report).startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')
    names = Counter(own["id"] for _, own in page.elements if "id" in own)
    assert set(names.values()) == {1}
    assert {own["aria-labelledby"] for tag, own in page.elements if tag == "section"} == set(names)


def test_page_asks_for_nothing_outside_itself(report: Report) -> None:
    html = render(report)
    assert not re.search(r"https?://|//\w+\.|url\(|@import|\bfetch\(|XMLHttp|import\(", html)
    for tag, own in Page(html).elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "a"}
        assert not {"src", "href", "srcset", "action", "data", "style"} & set(own), (tag, own)
    (policy,) = [
        own["content"] for _, own in Page(html).elements if own.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def test_facts_of_the_run_are_there(report: Report) -> None:
    facts = "".join(Page(render(report)).texts["dd"])
    for fact in ("lasttoken", "10", "2,400", "3 min 20 s", "2,210 MiB"):
        assert fact in facts
    assert "This sentence: &quot;{text}&quot; belongs to the following cluster:" in render(report)
    assert "lastword 0.1.0, torch 2.13.0" in "".join(Page(render(report)).texts["footer"])


def test_every_score_appears_best_first_and_marked(report: Report) -> None:
    page = Page(render(report))
    assert page.texts["caption"][:2] == ["topics, test split", "products, test split"]
    assert page.texts["b"][2:] == ["45.7", "31.2", "22.3", "46.7", "32.2", "23.3"]
    assert render(report).count("± 1.2") == 6
    assert (
        re.findall(r'class="name">([^<]+)</span> <span class="pill">best', render(report)) == ["adapted"] * 2
    )
    widths = re.findall(r'width="([\d.]+)%" class="(adapted|zero-shot|tfidf)"', render(report))
    assert [float(width) for width, _ in widths[:3]] == pytest.approx([91.34, 62.4, 44.62], abs=0.01)


def test_findings_open_the_page(report: Report) -> None:
    html = render(report)
    first = html.index("On topics the adapted model gains 14.5 points over the best zero-shot setting")
    assert html.index("On products the adapted model gains 14.5 points") < html.index("<h2")
    assert first < html.index("On products")


def test_many_zero_shot_settings_are_folded_away_not_left_out(report: Report) -> None:
    rows = [scored("topics", "zero-shot", 0.2 + n / 1000, template=f"t{n}") for n in range(20)]
    rows += [scored("topics", "tfidf", 0.1), scored("topics", "adapted", 0.15)]
    html = render(dataclasses.replace(report, scores=rows))
    shown, folded = html.split("<details>")
    assert "14 more zero-shot settings" in folded
    assert "t19, lasttoken" in shown
    assert shown.count("<tbody>") == 1
    assert len(re.findall(r'scope="row"', shown)) == 8
    for n in range(20):
        assert html.count(f">t{n}, lasttoken<") == 1
    assert html.count('class="pill">best') == 1
    Page(html)


def test_tables_have_header_cells(report: Report) -> None:
    page = Page(render(report))
    rows, columns = page.count("th", scope="row"), page.count("th", scope="col")
    assert rows == 6 + 2 * 5
    assert columns == 2 * 3 + 2 * 3
    assert page.count("th", scope="rowgroup") == 2 * 4


def test_pictures_speak_to_screen_readers_or_keep_silent(report: Report) -> None:
    for tag, own in Page(render(report)).elements:
        if tag == "svg":
            assert own.get("aria-hidden") == "true" or (own["role"] == "img" and own["aria-label"])
        if tag == "button":
            assert own["type"] == "button"


def test_each_text_is_a_mark_on_both_maps_and_each_label_a_button(report: Report) -> None:
    page = Page(render(report))
    marks = [own for tag, own in page.elements if tag == "path" and "data-row" in own]
    assert Counter(own["data-row"] for own in marks) == {str(row): 2 for row in range(36)}
    assert page.texts["title"].count("label 17: text 35") == 2
    assert [text for text in page.texts["button"] if text.strip()] == LABELS
    assert page.texts["h3"][:2] == ["Before: one", "After: two"]
    buttons = {own["data-kind"] for tag, own in page.elements if tag == "button"}
    assert buttons == {own["data-kind"] for own in marks}


def test_kept_checkpoints_are_ringed(report: Report) -> None:
    html = render(report)
    assert html.count('r="7" class="ring"') == 3
    assert html.count("<polyline") == 6
    assert "step 5 (seed 2) with 35.2" in html
    assert ">before training</text>" in html


def test_training_without_scores_shows_the_loss_alone(report: Report) -> None:
    alone = [Training(0, [2.0], Selection("last step (too few pairs to hold any out)", 1, {}))]
    html = render(dataclasses.replace(report, trainings=alone))
    assert "Development score" not in html
    assert "nan" not in Page(html).texts["figcaption"][1]
    assert 'class="ring"' not in html


def test_attention_is_shown_by_token_and_by_part(report: Report) -> None:
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


def test_texts_never_become_tags(report: Report) -> None:
    assert report.map
    assert report.attention
    evil = dataclasses.replace(
        report,
        model=EVIL,
        template=EVIL,
        pooling=EVIL,
        versions={EVIL: EVIL},
        scores=[
            scored(EVIL, "adapted", 0.4, template=EVIL, pooling=EVIL, split=EVIL),
            scored(EVIL, EVIL, 0.5),
        ],
        trainings=[Training(0, [1.0], Selection(EVIL, 1, {0: made_score(0.3), 1: made_score(0.4)}))],
        map=dataclasses.replace(
            report.map, name=EVIL, texts=[EVIL] * 36, labels=[EVIL] * 36, before_name=EVIL, after_name=EVIL
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


def test_sections_without_content_are_left_out(report: Report) -> None:
    bare = dataclasses.replace(report, scores=[], trainings=[], map=None, attention=None)
    page = Page(render(bare))
    assert "h2" not in page.texts
    assert page.texts["h1"] == ["mini before and after adaptation"]


def test_same_report_same_bytes_and_nothing_beside_it(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("older")
    write_report(path, report)
    first = path.read_bytes()
    write_report(str(path), report)
    assert path.read_bytes() == first == render(report).encode()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_text_that_utf8_cannot_hold_is_written_all_the_same(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", dataclasses.replace(report, model="a\ud800b"))
    assert "a?b before and after" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_both_colour_schemes_define_every_colour(report: Report) -> None:
    css = "".join(Page(render(report)).texts["style"])
    light, dark = re.findall(r":root \{([^}]+)\}", css)
    named = set(re.findall(r"(--[\w-]+):", light))
    assert named == set(re.findall(r"(--[\w-]+):", dark)) == set(re.findall(r"var\((--[\w-]+)\)", css))


def test_script_and_style_speak_of_what_is_on_the_page(report: Report) -> None:
    page = Page(render(report))
    css, script = "".join(page.texts["style"]), "".join(page.texts["script"])
    classes = {name for _, own in page.elements for name in (own.get("class") or "").split()}
    asked = set(re.findall(r'querySelector(?:All)?\("\.([\w-]+)', script))
    set_by_script = set(re.findall(r'classList\.toggle\("([\w-]+)"', script))
    styled = set(re.findall(r"\.([a-z][\w-]*)(?=[^{}]*\{)", css))
    assert asked == {"maps", "readout", "chart", "dot"}
    assert asked <= classes
    assert styled - classes - set_by_script == {"s3"}  # the dashes of a fourth seed
