"""Pages: they load nothing, allow a script only where one is given, and are written atomically."""

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
