"""Lines of a Markdown table."""

from __future__ import annotations


def line(*cells: str) -> str:
    """A row."""
    return f"| {' | '.join(cells)} |"


def heading(first: str, *others: str) -> list[str]:
    """The heading and the line below it: the first column is text, the others are numbers."""
    return [line(first, *others), line("---", *["---:"] * len(others))]
