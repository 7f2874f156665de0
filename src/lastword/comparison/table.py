"""A comparison as text: the best source first, and which of them differ by more than chance."""

from __future__ import annotations

from statistics import fmean

from lastword.comparison.trials import Comparison


def comparison_table(found: Comparison) -> str:
    """One line for each source: mean over sets, band over seeds, the sets, and its standing against the best."""
    sets = list(found.base)
    lines = [("source", "mean", *sets, "")]
    lines.append(
        (
            "before training",
            f"{100 * fmean(found.base.values()):.1f}",
            *(f"{100 * found.base[s]:.1f}" for s in sets),
            "",
        )
    )
    best = found.ranked[0]
    for name in found.ranked:
        mean, band = found.mean_of(name)
        own = [trial["scores"] for trial in found.trials if trial["source"] == name]
        cells = [f"{100 * fmean(scores[s] for scores in own):.1f}" for s in sets]
        lines.append((name, f"{100 * mean:.1f} ± {100 * band:.1f}", *cells, _standing(found, name, best)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _standing(found: Comparison, name: str, best: str) -> str:
    if name == best:
        return "best"
    (top, top_band), (mean, band) = found.mean_of(best), found.mean_of(name)
    return "level with the best" if top - mean <= top_band + band else ""
