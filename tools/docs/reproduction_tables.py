"""The report of a reproduction, as a block of a page."""

from __future__ import annotations

from pathlib import Path


def reproduction_report(path: Path) -> str:
    """The report that `lastword reproduce` wrote, without its heading; a note where there is none."""
    if not path.exists():
        return "Not measured in this version."
    _, _, sections = path.read_text(encoding="utf-8").partition("\n\n")
    return sections.strip()
