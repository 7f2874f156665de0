"""The switches of the paper's own code, as a table."""

from __future__ import annotations

from lastword.paper.report import markdown_table
from lastword.paper.switches import SWITCHES


def switch_table() -> str:
    """Every switch, from the catalogue."""
    rows = [
        [f"`{name}`", switch.published, switch.instead, f"`{switch.source}`"]
        for name, switch in SWITCHES.items()
    ]
    return markdown_table([["switch", "the paper's code", "lastword", "read in"], *rows], range(4))
