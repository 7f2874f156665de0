"""Markup: whatever is not markup is escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.report.markup import Markup, join, number, tag


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


# Surrogates are replaced on writing, and every HTML reader turns a carriage return into a line feed.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


@given(TEXTS, TEXTS)
def test_a_text_stays_a_text(child: str, attribute: str) -> None:
    reader = _Text()
    reader.feed(tag("p", child, title=attribute))
    reader.close()
    assert (reader.tags, reader.text, reader.attributes) == (["p"], child, {"title": attribute})


def test_markup_is_kept_and_names_are_translated() -> None:
    inner = tag("b", "1 < 2")
    assert tag("p", inner, " & ", class_="a", aria_label="x", hidden=True, id=None, open=False) == (
        '<p class="a" aria-label="x" hidden><b>1 &lt; 2</b> &amp; </p>'
    )


def test_elements_without_content() -> None:
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert tag("rect", x=1, y=2.0) == '<rect x="1" y="2"/>'
    assert tag("rect", tag("title", "t")) == "<rect><title>t</title></rect>"
    assert tag("td") == "<td></td>"


def test_join_escapes_text_between_tags() -> None:
    assert join(["<", Markup("<br>")], ", ") == "&lt;, <br>"


@pytest.mark.parametrize(
    ("value", "short"), [(1, "1"), (10.0, "10"), (1.005, "1"), (-0.001, "0"), (2.5, "2.5"), (-3.456, "-3.46")]
)
def test_numbers_are_short(value: float, short: str) -> None:
    assert number(value) == short
