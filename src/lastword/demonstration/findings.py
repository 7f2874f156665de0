"""Findings of the demo as sentences, computed from its numbers, unfavourable ones included.

All figures are points, a hundredth of a V-measure of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lastword.demonstration.result import Comparison, DemoResult, TrainingRun, points, scores_table
from lastword.explanation import TokenAttention
from lastword.uncertainty import Difference, Verdict

IS_BETTER: dict[Verdict, str] = {
    "better": "is better than",
    "worse": "is worse than",
    "not distinguishable": "is not distinguishable from",
}


@dataclass(frozen=True)
class Finding:
    """The adapted model on one data set: its difference from the best zero-shot setting, and sentences about it."""

    dataset: str
    difference: Difference
    text: str


def score_findings(result: DemoResult) -> list[Finding]:
    """One finding for each data set and split."""
    datasets: dict[str, list[Comparison]] = {}
    for comparison in result.comparisons:
        row = comparison.first
        name = row.dataset + ("" if row.split == "test" else f" ({row.split} split)")
        datasets.setdefault(name, []).append(comparison)
    return [_finding(name, comparisons) for name, comparisons in datasets.items()]


def demo_summary(result: DemoResult) -> str:
    """Text for a terminal: the scores, the findings, and the files written."""
    findings = "\n".join(finding.text for finding in score_findings(result))
    files = f"{result.output}: report.html, scores.json and the adapted model in model/"
    return f"{scores_table(result.scores)}\n\n{findings}\n\n{files}"


def _finding(name: str, comparisons: Sequence[Comparison]) -> Finding:
    summary = comparisons[0].first.summary
    chance = "" if summary.chance is None else f" Chance is {points(summary.chance)}."
    sentences = " ".join(_sentence(name, comparison) for comparison in comparisons)
    return Finding(name, comparisons[0].difference, sentences + chance)


def _sentence(name: str, comparison: Comparison) -> str:
    difference, first, second = comparison.difference, comparison.first.summary, comparison.second.summary
    is_baseline = comparison.second.model == "tfidf"
    subject = "It" if is_baseline else f"On {name} the adapted model"
    baseline = "TF-IDF, which only counts words" if is_baseline else "the best zero-shot setting"
    setting = f" ({comparison.second.setting})" if comparison.second.setting else ""
    harm = " The adaptation did harm here." if difference.verdict == "worse" and not is_baseline else ""
    return (
        f"{subject} {IS_BETTER[difference.verdict]} {baseline}{setting}: {points(first.value)} against "
        f"{points(second.value)}, a difference of {with_interval(difference)}.{harm}"
    )


def with_interval(difference: Difference) -> str:
    """A difference in points with its 95 % interval."""
    if not math.isfinite(difference.low):
        return f"{signed(difference.value)} (too few texts for an interval)"
    return f"{signed(difference.value)} (95 % interval {signed(difference.low)} … {signed(difference.high)})"


def signed(value: float) -> str:
    """A difference in points with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def training_finding(runs: Sequence[TrainingRun]) -> str:
    """The selected checkpoint of each run, and whether it is better than the model before training."""
    criterion = runs[0].selection.criterion
    if not any(run.selection.scores for run in runs):
        return f"Selected: {criterion}."
    steps = []
    for run in runs:
        seed = f" (seed {run.seed})" if len(runs) > 1 else ""
        steps.append(f"step {run.selection.step}{seed} with {points(run.selection.score)}")
    text = f"Selected by {criterion}: {', '.join(steps)}."
    failed = [
        str(run.seed) for run in runs if not (run.selection.gain and run.selection.gain.verdict == "better")
    ]
    if failed:
        seeds = "seed" if len(failed) == 1 else "seeds"
        text += f" No better than before training: {seeds} {', '.join(failed)}."
    return text


def share_of(attention: Sequence[TokenAttention], part: str = "text") -> float:
    """Share of the attention on one part of the sequence, 0 … 1."""
    return sum(token.weight for token in attention if token.part == part)


def attention_finding(before: Sequence[TokenAttention], after: Sequence[TokenAttention]) -> str:
    """Share of the last token's attention on the text itself."""
    return (
        f"The tokens of the text get {share_of(before):.0%} of the last token's attention before the adaptation "
        f"and {share_of(after):.0%} after it."
    )
