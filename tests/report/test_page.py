"""Pages: closed to the outside, scripts only where one is given, whole or not there."""

from __future__ import annotations

from pathlib import Path

from lastword.report.markup import tag
from lastword.report.page import page, panel, section, write_page

POLICY = "default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;"


def test_a_page_without_a_script_allows_none() -> None:
    plain = page("a < b", tag("main", "x < y"))
    assert f'content="{POLICY}"' in plain
    assert "<script" not in plain
    assert "<title>a &lt; b</title>" in plain
    assert "x &lt; y" in plain


def test_a_script_is_put_in_as_it_is_and_allowed() -> None:
    scripted = page("t", script="if (1 < 2) {}")
    assert f"{POLICY}; script-src &#x27;unsafe-inline&#x27;" in scripted
    assert "<script>if (1 < 2) {}</script></body>" in scripted


def test_own_rules_come_after_those_of_all_pages() -> None:
    style = page("t", style=".mine { color: red; }").partition("<style>")[2].partition("</style>")[0]
    assert style.startswith(":root {")
    assert style.endswith(".mine { color: red; }")


def test_a_section_is_named_by_its_heading() -> None:
    made = section("x", "T & T", panel("one", tag("p", "two")))
    heading = '<h2 id="x">T &amp; T</h2>'
    inside = '<div class="panel"><h3>one</h3><p>two</p></div>'
    assert made == f'<section aria-labelledby="x">{heading}{inside}</section>'


def test_a_written_page_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    write_page(path, "new \ud800")
    assert path.read_text() == "new ?"
    assert list(tmp_path.iterdir()) == [path]
