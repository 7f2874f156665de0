"""A comparison as text: the best variant first, and which of the others are distinguishable from it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from lastword.experiments.comparison import Comparison
from lastword.report.table import aligned
from lastword.uncertainty import combine


def comparison_table(comparison: Comparison) -> str:
    """V-measures × 100: a line for each variant, under those of chance and of the model before training.

    Columns: mean over the sets with its standard error, adjusted mutual information, each set, difference to
    the best with its 95 % interval, and the verdict.
    """
    sets = list(comparison.base)
    base = combine(list(comparison.base.values()))
    rows = [
        [comparison.subject, "mean ± s.e. (seeds, draws)", "AMI", *sets, "to the best [95 %]", ""],
        ["chance", *_percents([base.chance, 0.0, *(comparison.base[name].chance for name in sets)]), "", ""],
        [
            "before training",
            *_percents([base.value, base.ami, *(comparison.base[name].value for name in sets)]),
            "",
            "",
        ],
        *(_row(comparison, name, sets) for name in comparison.ranked),
    ]
    return "\n".join([aligned(rows), "", *_notes(comparison)])


def _row(comparison: Comparison, name: str, sets: Sequence[str]) -> list[str]:
    runs = [run.scores for run in comparison.runs_of(name) if run.scores]
    summary, difference = comparison.summary(name), comparison.difference(name, comparison.ranked[0])
    if summary is None:
        return [name, "–", "–", *("–" for _ in sets), "", comparison.standing(name)]
    error = f" ± {100 * summary.draw_se:.1f}" if summary.seeds > 1 else ""
    interval = ""
    if difference and name != comparison.ranked[0]:
        interval = (
            f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
        )
    return [
        name, _percent(summary.value) + error, _percent(summary.ami),
        *(_percent(fmean(scores[set_name].value for scores in runs)) for set_name in sets),
        interval, comparison.standing(name),
    ]  # fmt: skip


def _notes(comparison: Comparison) -> list[str]:
    notes = [
        "V-measure × 100. chance: shuffled labels. AMI: adjusted mutual information × 100, 0 for chance."
    ]
    best = comparison.summary(comparison.ranked[0])
    if best and best.text_se is not None:
        notes.append(
            f"Other texts of the same kind would move a mean by ± {_percent(best.text_se)}, most of it the same for "
            "all lines; the intervals of the paired differences include it."
        )
    return notes


def _percents(values: Sequence[float | None]) -> list[str]:
    return [_percent(value) for value in values]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
