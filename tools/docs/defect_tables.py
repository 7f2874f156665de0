"""Tables about the paper's own code: what each switch does, and what it costs on the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

from lastword.experiments import Comparison
from lastword.paper.defects import defects_table, unmeasured
from lastword.paper.report import markdown_table
from lastword.paper.switches import SWITCHES
from lastword.uncertainty import combine


def switch_table() -> str:
    """Every switch, from the catalogue."""
    rows = [
        [f"`{name}`", switch.published, switch.instead, f"`{switch.source}`"]
        for name, switch in SWITCHES.items()
    ]
    return markdown_table([["switch", "the paper's code", "lastword", "read in"], *rows], range(4))


def cost_table(path: Path) -> str:
    """Each switch beside the training that differs by it alone; a note where there is no file."""
    if not path.exists():
        return "Not measured in this version."
    comparison = Comparison.from_dict(json.loads(path.read_text(encoding="utf-8")))
    return f"{_about(comparison)}\n\n{defects_table(comparison)}"


def _about(comparison: Comparison) -> str:
    settings, facts = comparison.settings, comparison.settings["input"]
    lacking = ", ".join(f"`{name}`" for name in unmeasured(comparison))
    base = combine(list(comparison.base.values()))
    return (
        f"V-measure × 100, mean of {' and '.join(comparison.base)}; training runs of each way: {settings['seeds']}, of "
        f"{settings['steps']} steps of {settings['batch_pairs']} pairs. ± is the standard error from training seeds "
        "and draws, in brackets from the sampling of texts; differences are paired, with 95 % intervals. Each switch "
        f"is compared with the bold row above it. Before training the model has {100 * base.value:.1f}.\n\n"
        f"Not measured: {lacking}. Of {facts['texts']:,} texts of the pairs {facts['texts_over_100_tokens']:,} have "
        f"more than 100 tokens (the longest has {facts['longest_tokens']}), and a header row would be drawn in "
        f"{facts['runs_that_draw_the_header_row']} of {settings['seeds']} runs."
    )
