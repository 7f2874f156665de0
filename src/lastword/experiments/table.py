"""A comparison as text: the best variant first, and which of the others are distinguishable from it."""

from __future__ import annotations

from statistics import fmean

from lastword.experiments.comparison import Comparison
from lastword.report.table import aligned, percent, with_interval
from lastword.uncertainty import combine


def comparison_table(comparison: Comparison) -> str:
    """V-measures × 100: a line for each variant, under those of chance and of the model before training.

    Columns: mean over the sets with its standard error, adjusted mutual information, each set, difference to
    the best with its 95 % interval, and the verdict.
    """
    sets, base = comparison.base, combine(list(comparison.base.values()))
    before = [base.value, base.ami, *(score.value for score in sets.values())]
    rows = [
        [comparison.subject, "mean ± s.e. (seeds, draws)", "AMI", *sets, "to the best [95 %]", ""],
        ["chance", *map(percent, [base.chance, 0.0, *(score.chance for score in sets.values())]), "", ""],
        ["before training", *map(percent, before), "", ""],
        *(_row(comparison, name) for name in comparison.ranked),
    ]
    return "\n".join([aligned(rows), "", *_notes(comparison)])


def _row(comparison: Comparison, name: str) -> list[str]:
    runs = [run.scores for run in comparison.runs_of(name) if run.scores]
    summary, best = comparison.summary(name), comparison.ranked[0]
    if summary is None:
        return [name, "–", "–", *("–" for _ in comparison.base), "", comparison.standing(name)]
    error = f" ± {percent(summary.draw_se)}" if summary.seeds > 1 else ""
    means = [fmean(scores[set_name].value for scores in runs) for set_name in comparison.base]
    difference = None if name == best else comparison.difference(name, best)
    return [
        name, percent(summary.value) + error, *map(percent, [summary.ami, *means]),
        with_interval(difference, missing=""), comparison.standing(name),
    ]  # fmt: skip


def _notes(comparison: Comparison) -> list[str]:
    notes = [
        "V-measure × 100. chance: shuffled labels. AMI: adjusted mutual information × 100, 0 for chance."
    ]
    best = comparison.summary(comparison.ranked[0])
    if best and best.text_se is not None:
        notes.append(
            f"Other texts of the same kind would move a mean by ± {percent(best.text_se)}, most of it the same for "
            "all lines; the intervals of the paired differences include it."
        )
    return notes
