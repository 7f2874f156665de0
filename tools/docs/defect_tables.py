"""Tables about the paper's own code: what each switch does, and what it costs on the bundled model."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from pair_tables import drawn, read_comparison

from lastword.experiments import Comparison
from lastword.paper.defect_runs import unmeasured
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
    comparison = read_comparison(path)
    lines = [_line("training", "score", "change [95 %]", "verdict"), _line("---", *["---:"] * 3)]
    for name, counterpart in comparison.settings["against"].items():
        summary = comparison.summary(name)
        assert summary is not None
        score = f"{100 * summary.value:.1f}" + (
            f" ± {100 * summary.draw_se:.1f}" if drawn(comparison) else ""
        )
        if counterpart is None:
            lines.append(_line(f"**{name}**", score, "", ""))
            continue
        change = comparison.difference(name, counterpart)
        assert change is not None
        if drawn(comparison):
            interval = f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
            lines.append(_line(name, score, interval, change.verdict))
        else:
            lines.append(_line(name, score, f"{100 * change.value:+.1f}", "–"))
    return "\n".join([_about(comparison), "", *lines])


def _about(comparison: Comparison) -> str:
    settings, facts = comparison.settings, comparison.settings["facts"]
    missing = ", ".join(f"`{name}`" for name in unmeasured(comparison))
    base = fmean(score.value for score in comparison.base.values())
    errors = " ± standard error over seeds and draws" if drawn(comparison) else ""
    return (
        f"V-measure × 100, mean of {' and '.join(comparison.base)}{errors}, {settings['seeds']} runs of "
        f"{settings['steps']} steps of {settings['batch_pairs']} pairs each. Each switch is compared with the bold "
        f"row above it. Before training the model has {100 * base:.1f}.\n\nNot measured: {missing}. Of "
        f"{facts['texts']:,} texts of the pairs {facts['texts_over_100_tokens']:,} have more than 100 tokens (the "
        f"longest has {facts['longest_tokens']}), and a header row would be drawn in "
        f"{facts['runs_that_draw_the_header_row']} of {settings['seeds']} runs."
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
