"""The report of a run as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from pathlib import Path

from lastword.markup import Markup, tag
from lastword.showcase import sections
from lastword.showcase.content import AttentionPair, Report, TextMap, Training

__all__ = ["AttentionPair", "Report", "TextMap", "Training", "render", "write_report"]

# Forbids the page to fetch anything, whatever a text in it may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_report(path: str | Path, report: Report) -> None:
    """Write the page; it appears under its name when it is whole, and replaces an older one.

    Args:
        path: the file to write.
        report: what to show.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(render(report).encode("utf-8", errors="replace"))
    partial.replace(path)


def render(report: Report) -> str:
    """The page as a string; the same report gives the same page."""
    parts = [sections.head(report)]
    if report.scores:
        parts.append(sections.scores(report.scores))
    if report.map:
        parts.append(sections.text_map(report.map))
    if report.trainings:
        parts.append(sections.training(report.trainings))
    if report.attention:
        parts.append(sections.attention(report.attention))
    body = tag("body", tag("main", *parts), sections.foot(report.versions.items()), _script())
    return f"<!doctype html>\n{tag('html', _head(f'{report.model}: lastword demo'), body, lang='en')}\n"


def _head(title: str) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", _own("report.css")),
    )


def _script() -> Markup:
    return tag("script", _own("report.js"))


def _own(name: str) -> Markup:
    """The text of a file beside this one."""
    return Markup(Path(__file__).with_name(name).read_text(encoding="utf-8"))
