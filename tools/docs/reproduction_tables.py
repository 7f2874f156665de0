"""The report of a reproduction, as a block of a page."""

from __future__ import annotations

from pathlib import Path


def reproduction_report(path: Path, *, part: bool = False) -> str:
    """The report that `lastword reproduce` wrote, without its heading; a note where there is none.

    Args:
        path: of the report.
        part: it is part of a section: its own sections are one level deeper.
    """
    if not path.exists():
        return "Not measured in this version."
    _, _, sections = path.read_text(encoding="utf-8").partition("\n\n")
    return sections.strip().replace("\n## ", "\n### ") if part else sections.strip()
