"""Pages: they load nothing, allow a script only where one is given, and are written atomically."""

from __future__ import annotations

from pathlib import Path

from lastword.adaptation.report import _STYLE as ADAPTED
from lastword.experiments.strategy_page import _STYLE as STRATEGIES
from lastword.pairs.checking.report import _STYLE as PAIRS
from lastword.report.markup import tag
from lastword.report.page import page, panel, section, write_page
from tests.browser import browser_page

POLICY = "default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;"


def test_a_page_without_a_script_allows_none() -> None:
    plain = page("a < b", tag("main", "x < y"))
    assert f'content="{POLICY}"' in plain
    assert "<script" not in plain
    assert "<title>a &lt; b</title>" in plain
    assert "x &lt; y" in plain


def test_a_script_is_included_unchanged_and_allowed() -> None:
    scripted = page("t", script="if (1 < 2) {}")
    assert f"{POLICY}; script-src &#x27;unsafe-inline&#x27;" in scripted
    assert "<script>if (1 < 2) {}</script></body>" in scripted


def test_rules_of_a_page_follow_the_common_ones() -> None:
    style = page("t", style=".special { color: red; }").partition("<style>")[2].partition("</style>")[0]
    assert style.startswith(":root {")
    assert style.endswith(".special { color: red; }")


def test_a_section_is_named_by_its_heading() -> None:
    html = section("x", "T & T", panel("one", tag("p", "two")))
    heading = '<h2 id="x">T &amp; T</h2>'
    inside = '<div class="panel"><h3>one</h3><p>two</p></div>'
    assert html == f'<section aria-labelledby="x">{heading}{inside}</section>'


def test_a_written_page_replaces_an_older_one_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    write_page(path, "new \ud800")
    assert path.read_text() == "new ?"
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_word_does_not_make_a_page_wider_than_a_small_window(tmp_path: Path) -> None:
    word = "http://www.example.org/" + "a" * 70
    row = tag("tr", tag("td", word), tag("td", "88", class_="figure"), tag("td", word))
    parts = [tag("table", row, class_="plain"), tag("blockquote", word), tag("p", word), tag("h2", word)]
    with browser_page(tmp_path / "profile") as window:
        for style in ("", ADAPTED, PAIRS, STRATEGIES):
            write_page(tmp_path / "page.html", page("t", tag("main", *parts), style=style))
            window.open(tmp_path / "page.html", width=420)
            window.wait("document.querySelector('h2')")
            assert window.evaluate(
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            ), style
