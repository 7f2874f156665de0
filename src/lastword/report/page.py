"""A page as one self-contained HTML file: it loads nothing from the network or from other files."""

from __future__ import annotations

from pathlib import Path

from lastword.report.markup import Markup, tag

# Stops the page from loading anything, whatever the texts in it contain.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = Path(__file__).with_name("page.css")
_PALETTE = Path(__file__).with_name("palette.css")


def page(title: str, *parts: str, style: str = "", script: str = "", compiles: bool = False) -> str:
    """The page as a string; the same parts give the same page.

    Args:
        title: of the window.
        parts: of the body.
        style: rules added after the common style sheet.
        script: JavaScript of the page; without one the page allows no scripts.
        compiles: whether the script makes functions of strings, as libraries for WebGL do.
    """
    allowed = "'unsafe-inline' 'unsafe-eval'" if compiles else "'unsafe-inline'"
    policy = f"{_POLICY}; script-src {allowed}" if script else _POLICY
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag(
            "style", Markup(_PALETTE.read_text(encoding="utf-8") + _STYLE.read_text(encoding="utf-8") + style)
        ),
    )
    scripts = [tag("script", Markup(script))] if script else []
    return f"<!doctype html>\n{tag('html', head, tag('body', *parts, *scripts), lang='en')}\n"


def section(anchor: str, title: str, *parts: str) -> Markup:
    """A section with a heading that can be linked to."""
    return tag("section", tag("h2", title, id=anchor), *parts, aria_labelledby=anchor)


def panel(title: str, picture: Markup) -> Markup:
    """A picture with a heading."""
    return tag("div", tag("h3", title), picture, class_="panel")


def write_page(path: str | Path, content: str) -> None:
    """Write a page or picture atomically; an existing file is replaced."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content.encode("utf-8", errors="replace"))
    partial.replace(path)
