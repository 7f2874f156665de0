"""Tables about the paper's own code: what each switch does, and what it costs on the bundled model."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

from lastword.experiments.series import Comparison
from lastword.paper.defect_runs import cost, unmeasured
from lastword.paper.switches import SWITCHES


def switch_table() -> str:
    """Every switch, from the catalogue."""
    lines = [_line("switch", "the paper's code", "lastword", "read in"), _line(*["---"] * 4)]
    lines += [
        _line(f"`{name}`", one.published, one.instead, f"`{one.source}`") for name, one in SWITCHES.items()
    ]
    return "\n".join(lines)


def cost_table(path: Path) -> str:
    """Each switch beside the training that differs by it alone; a line that says so where there is no file."""
    if not path.exists():
        return "Not measured in this version."
    content = json.loads(path.read_text(encoding="utf-8"))
    found = Comparison(content["trials"], content["base"], content["settings"], "switch")
    against = {trial["switch"]: trial["against"] for trial in found.trials}
    lines = [_line("training", "score", "change", "beyond twice its deviation"), _line("---", *["---:"] * 3)]
    for name, counterpart in against.items():
        mean, band = found.mean_of(name)
        score = f"{100 * mean:.1f} ± {100 * band:.1f}"
        if counterpart is None:
            lines.append(_line(f"**{name}**", score, "", ""))
            continue
        change, deviation = cost(found, name, counterpart)
        verdict = "yes" if abs(change) > 2 * deviation else "no"
        lines.append(_line(name, score, f"{100 * change:+.1f} ± {100 * deviation:.1f}", verdict))
    return "\n".join([_about(found, content["facts"]), "", *lines])


def _about(found: Comparison, facts: dict[str, int]) -> str:
    settings = found.settings
    lacking = ", ".join(f"`{name}`" for name in unmeasured(found.trials))
    return (
        f"V-measure × 100, mean of {' and '.join(found.base)}, {settings['seeds']} trainings of {settings['steps']} "
        f"steps of {settings['batch_pairs']} pairs each. Each switch is compared with the bold row above it. Before "
        f"any training the model has {100 * fmean(found.base.values()):.1f}.\n\nNot measured: {lacking}. Of "
        f"{facts['texts']:,} texts of the pairs {facts['texts_over_100_tokens']:,} have more than 100 tokens (the "
        f"longest has {facts['longest_tokens']}), and a header row would be drawn in "
        f"{facts['trainings_that_draw_the_header_row']} of {settings['seeds']} trainings."
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
