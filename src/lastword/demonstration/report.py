"""The report of a run as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from pathlib import Path

from lastword.demonstration import sections
from lastword.demonstration.content import AttentionPair, Report, TextMap, Training
from lastword.report.markup import tag
from lastword.report.page import page, write_page

__all__ = ["AttentionPair", "Report", "TextMap", "Training", "render", "write_report"]

_SCRIPT = Path(__file__).with_name("report.js")


def write_report(path: str | Path, report: Report) -> None:
    """Write the page; it appears under its name when it is whole, and replaces an older one.

    Args:
        path: the file to write.
        report: what to show.
    """
    write_page(path, render(report))


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
    foot = sections.foot(report.versions.items())
    script = _SCRIPT.read_text(encoding="utf-8")
    return page(f"{report.model}: lastword demo", tag("main", *parts), foot, script=script)
