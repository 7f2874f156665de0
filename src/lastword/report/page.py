"""A page as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from pathlib import Path

from lastword.report.markup import Markup, tag

# Forbids the page to fetch anything, whatever a text in it may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = Path(__file__).with_name("page.css")


def page(title: str, *parts: str, style: str = "", script: str = "") -> str:
    """The page as a string; the same parts give the same page.

    Args:
        title: of the window.
        parts: what is in the body.
        style: rules that come after those of all pages.
        script: what runs when the page is loaded; without one no script is allowed.
    """
    policy = f"{_POLICY}; script-src 'unsafe-inline'" if script else _POLICY
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(_STYLE.read_text(encoding="utf-8") + style)),
    )
    scripts = [tag("script", Markup(script))] if script else []
    return f"<!doctype html>\n{tag('html', head, tag('body', *parts, *scripts), lang='en')}\n"


def section(anchor: str, title: str, *parts: str) -> Markup:
    """A part of a page under a heading that can be linked to."""
    return tag("section", tag("h2", title, id=anchor), *parts, aria_labelledby=anchor)


def panel(title: str, picture: Markup) -> Markup:
    """A picture under its name."""
    return tag("div", tag("h3", title), picture, class_="panel")


def write_page(path: str | Path, content: str) -> None:
    """Write a file; it appears under its name when it is whole, and replaces an older one."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content.encode("utf-8", errors="replace"))
    partial.replace(path)
