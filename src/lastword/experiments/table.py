"""A comparison as text: the best contestant first, and which of them differ by more than chance."""

from __future__ import annotations

from statistics import fmean

from lastword.experiments.series import Comparison


def comparison_table(found: Comparison) -> str:
    """One line for each contestant: mean over sets, band over seeds, each set, and its standing against the best."""
    sets = list(found.base)
    before = [f"{100 * found.base[s]:.1f}" for s in sets]
    lines = [
        (found.subject, "mean", *sets, ""),
        ("before training", f"{100 * fmean(found.base.values()):.1f}", *before, ""),
    ]
    for name in found.ranked:
        own = [trial["scores"] for trial in found.of(name) if trial["scores"]]
        mean, band = found.mean_of(name)
        cells = [f"{100 * fmean(scores[s] for scores in own):.1f}" if own else "–" for s in sets]
        shown = f"{100 * mean:.1f}" + (f" ± {100 * band:.1f}" if len(own) > 1 else "") if own else "–"
        lines.append((name, shown, *cells, _standing(found, name)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _standing(found: Comparison, name: str) -> str:
    failed = sum(not trial["scores"] for trial in found.of(name))
    if failed:
        return f"diverged with {failed} of {len(found.of(name))} seeds"
    if len(found.of(name)) < 2:
        return "one training: no band"
    if name == found.ranked[0]:
        return "best"
    return "level with the best" if found.level_with_best(name) else ""
