"""Sentences computed from the numbers, the unwelcome ones included.

A difference counts only outside its band: two standard deviations of the difference of two scores,
which are taken as independent. All figures are points, a hundredth of a V-measure of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lastword.demonstration.content import Training
from lastword.demonstration.table import Row
from lastword.explanation import TokenAttention

_DEVIATIONS = 2.0


@dataclass(frozen=True)
class Difference:
    """One score less another.

    Attributes:
        points: the difference, in points.
        band: what noise may do to it, in points.
    """

    points: float
    band: float

    @classmethod
    def of(cls, row: Row, other: Row) -> Difference:
        """Compare two rows of scores."""
        points = 100 * (row["v_measure"] - other["v_measure"])
        return cls(points, 100 * _DEVIATIONS * math.hypot(row["std"], other["std"]))

    @property
    def is_noise(self) -> bool:
        """Whether noise alone may make such a difference."""
        return abs(self.points) <= self.band


def datasets_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Name of each data set and split → its rows, best first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(f"{row['dataset']}, {row['split']} split", []).append(row)
    return [(name, sorted(own, key=lambda row: -row["v_measure"])) for name, own in groups.items()]


@dataclass(frozen=True)
class Finding:
    """What came out on one data set.

    Attributes:
        dataset: its name, with the split where that is not the test split.
        verdict: the outcome in a word: points gained or lost against zero-shot, or "level".
        text: the outcome in sentences.
    """

    dataset: str
    verdict: str
    text: str


def score_findings(rows: Sequence[Row], template: str, pooling: str) -> list[Finding]:
    """One finding for each data set and split: the adapted model against zero-shot and TF-IDF.

    The adapted model is scored as it was trained (`template`, `pooling`), not by its best row; zero-shot
    is given its best row, although the test set has chosen it. Both lean against the adapted model.
    """
    found = []
    for _, own in datasets_of(rows):
        adapted = _adapted(own, template, pooling)
        if adapted is None:
            continue
        place = adapted["dataset"] + ("" if adapted["split"] == "test" else f" ({adapted['split']} split)")
        zero_shot = next((row for row in own if row["model"] == "zero-shot"), None)
        tfidf = next((row for row in own if row["model"] == "tfidf"), None)
        first = _against_zero_shot(place, adapted, zero_shot) if zero_shot else _alone(place, adapted)
        second = f" {_against_tfidf(adapted, tfidf)}" if tfidf else ""
        found.append(Finding(place, first.verdict, first.text + second))
    return found


def _adapted(rows: Sequence[Row], template: str, pooling: str) -> Row | None:
    adapted = [row for row in rows if row["model"] == "adapted"]
    as_trained = [row for row in adapted if (row["template"], row["pooling"]) == (template, pooling)]
    return next(iter(as_trained or adapted), None)


def _alone(place: str, adapted: Row) -> Finding:
    score = points(adapted["v_measure"])
    return Finding(place, score, f"On {place} the adapted model scores {score}.")


def _against_zero_shot(place: str, adapted: Row, zero_shot: Row) -> Finding:
    difference = Difference.of(adapted, zero_shot)
    setting = f"the best zero-shot setting ({setting_of(zero_shot)})"
    scores = f"{points(zero_shot['v_measure'])} to {points(adapted['v_measure'])}"
    size, band = f"{abs(difference.points):.1f}", f"±{difference.band:.1f}"
    verdict = signed(difference.points)
    if difference.is_noise:
        level = f"On {place} the adapted model is level with {setting}: {scores}"
        return Finding(place, "level", f"{level}, a difference of {verdict} within the noise band of {band}.")
    if difference.points > 0:
        text = f"On {place} the adapted model gains {size} points over {setting}: {scores} (band {band})."
    else:
        text = (
            f"On {place} the adapted model loses {size} points against {setting}: {scores} (band {band}). "
            "The adaptation did harm here."
        )
    return Finding(place, verdict, text)


def _against_tfidf(adapted: Row, tfidf: Row) -> str:
    difference = Difference.of(tfidf, adapted)
    size, band = f"{abs(difference.points):.1f}", f"±{difference.band:.1f}"
    if difference.is_noise:
        return f"TF-IDF, which only counts words, does as well within the noise band of {band}."
    if difference.points > 0:
        return f"TF-IDF, which only counts words, is ahead of it by {size} points (band {band})."
    return f"TF-IDF, which only counts words, stays {size} points behind (band {band})."


def setting_of(row: Row) -> str:
    """Template and pooling of a row, as far as it has them."""
    return ", ".join(part for part in (row["template"], row["pooling"]) if part)


def points(value: float) -> str:
    """0 … 1 as points with one digit."""
    return f"{100 * value:.1f}"


def signed(value: float) -> str:
    """A difference in points with its sign."""
    return f"{value:+.1f}".replace("-", "−")


def training_finding(trainings: Sequence[Training]) -> str:
    """What was kept of each training, and whether it was better than nothing."""
    if not any(training.selection.scores for training in trainings):
        return f"Kept: {trainings[0].selection.criterion}."
    kept = ", ".join(_kept(training, named=len(trainings) > 1) for training in trainings)
    useless = [
        f"seed {training.seed}"
        for training in trainings
        if training.selection.gain and training.selection.gain.verdict != "better"
    ]
    harm = f" Training did not raise the development score of {' and '.join(useless)}." if useless else ""
    return f"Kept by {trainings[0].selection.criterion}: {kept}.{harm}"


def _kept(training: Training, *, named: bool) -> str:
    choice, who = training.selection, f" (seed {training.seed})" if named else ""
    return f"step {choice.step}{who} with {points(choice.score)}"


def text_share(attention: Sequence[TokenAttention], part: str = "text") -> float:
    """Share of the attention that one part of the sequence gets, 0 … 1."""
    return sum(token.weight for token in attention if token.part == part)


def attention_finding(before: Sequence[TokenAttention], after: Sequence[TokenAttention]) -> str:
    """How much of the last token's attention goes to the text itself."""
    return (
        f"The text's own tokens get {text_share(before):.0%} of the last token's attention before the "
        f"adaptation and {text_share(after):.0%} after it."
    )
