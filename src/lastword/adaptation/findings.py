"""What a result says, as sentences computed from its numbers, unfavourable ones included."""

from __future__ import annotations

from dataclasses import dataclass

from lastword.adaptation.result import AdaptResult
from lastword.adaptation.scoring import LABELLED, ModelRow
from lastword.demonstration.findings import IS_BETTER, with_interval
from lastword.probing.measures import MEASURES
from lastword.report.table import aligned, percent
from lastword.report.table import with_interval as in_brackets
from lastword.uncertainty import Difference, Verdict

_HELPED: dict[Verdict, str] = {
    "better": "Adapting helped on this corpus.",
    "worse": "Adapting did harm on this corpus.",
    "not distinguishable": "These texts do not show whether adapting helped.",
}
_HELPED_WITHOUT_LABELS: dict[Verdict, str] = {
    "better": "Adapting seems to have helped on this corpus; without labels this is no proof.",
    "worse": "Adapting seems to have done harm on this corpus; without labels this is no proof.",
    "not distinguishable": _HELPED["not distinguishable"],
}
_IS_MORE_STABLE: dict[Verdict, str] = {
    "better": "is more stable than",
    "worse": "is less stable than",
    "not distinguishable": IS_BETTER["not distinguishable"],
}


@dataclass(frozen=True)
class Finding:
    """The adapted model against another one.

    Attributes:
        title: of the comparison.
        difference: of the score that decides.
        text: sentences about it.
    """

    title: str
    difference: Difference
    text: str


def findings(result: AdaptResult) -> list[Finding]:
    """The adapted model against the model before training, TF-IDF and the baselines."""
    others = [result.unadapted, *(row for row in result.others if row.kind in ("tfidf", "other"))]
    return [_finding(result, row) for row in others]


def verdict(result: AdaptResult) -> str:
    """Whether adapting helped, in a sentence."""
    texts = _HELPED if result.label_column else _HELPED_WITHOUT_LABELS
    sentence = texts[result.gain.verdict]
    if result.kept == "unadapted":
        sentence += " The model before training was kept."
    ahead = [finding.title for finding in findings(result)[1:] if finding.difference.verdict == "worse"]
    if ahead and result.label_column:
        sentence += f" Better on it: {', '.join(title.removeprefix('against ') for title in ahead)}."
    return sentence


def certainty(result: AdaptResult) -> list[str]:
    """How sure the verdict is, and what training has seen."""
    texts = f"{result.test:,} test texts that training has not seen"
    labels = any(source.name == "labels" and source.drawn for source in result.sources)
    if result.label_column:
        sentences = [
            f"Scores are the agreement of groups with the labels in “{result.label_column}” on {texts}. They chose "
            f"nothing: {_chosen_by(result)}.",
            "Intervals are of 95 %: over other texts of this kind, and over the random starts of the grouping; one "
            "training run was made, so they do not cover its randomness.",
        ]
    else:
        sentences = [
            f"There are no labels. The score is the stability of neighbours on {texts}: the share of a text's ten "
            "nearest texts that stay when words of it are deleted and swapped. Pairs with noise train this very "
            "ability, so a model may gain in it and not in meaning.",
            "A few hundred labelled texts would tell more: pass their column as the label column.",
        ]
    if labels:
        sentences.append(
            "Training used the labels of training texts, which TF-IDF and the model before training did not have."
        )
    return sentences


def _chosen_by(result: AdaptResult) -> str:
    """What chose setting and checkpoint of a run with labels."""
    if not result.choice.enough:
        return (
            f"{result.development} other labelled texts are too few to choose by, so the setting is the recipe's and "
            "pairs that were held out chose the checkpoint"
        )
    if result.choice.again:
        return f"{result.development:,} other labelled texts chose the checkpoint"
    return f"{result.development:,} other labelled texts chose the setting and the checkpoint"


def summary(result: AdaptResult) -> str:
    """Text for a terminal: the scores, the verdict and the files."""
    measures = list(result.adapted.scores)
    heading = ("model", "setting", *(MEASURES[name].title for name in measures), "adapted minus it")
    rows = [heading]
    for row in result.models:
        difference = "" if row is result.adapted else in_brackets(result.adapted.against(row, result.measure))
        values = [percent(row.scores[name].value) for name in measures]
        rows.append((label(row), row.setting or "–", *values, difference or "–"))
    lines = [aligned(rows), "", verdict(result), *(finding.text for finding in findings(result))]
    return "\n".join([*lines, "", f"{result.output}: report.html, adapted.json, model/, groups/, pairs/"])


def label(row: ModelRow) -> str:
    """How a model is called in a table."""
    kinds = {"adapted": "adapted", "unadapted": "unadapted", "best unadapted": "unadapted, its best setting"}
    return (
        f"{row.name}, {kinds[row.kind]}"
        if row.kind in kinds
        else row.name.removeprefix("sentence-transformers:")
    )


def _finding(result: AdaptResult, row: ModelRow) -> Finding:
    measure = result.measure
    difference = result.adapted.against(row, measure)
    values = [percent(side.scores[measure].value) for side in (result.adapted, row)]
    other = {
        "tfidf": "TF-IDF, which only counts words",
        "other": label(row),
    }.get(row.kind, f"{row.name} before training ({row.setting})")
    words = IS_BETTER if measure == LABELLED else _IS_MORE_STABLE
    text = (
        f"The adapted model {words[difference.verdict]} {other}: {MEASURES[measure].title} {values[0]} against "
        f"{values[1]}, a difference of {with_interval(difference)}."
    )
    chance = row.scores[measure].chance if measure == LABELLED else None
    if row is result.unadapted and chance is not None:
        text += f" Chance is {percent(chance)}."
    if measure != LABELLED and row is not result.unadapted:
        text += " This does not say which of them groups better."
    title = {"tfidf": "against TF-IDF", "other": f"against {label(row)}"}.get(
        row.kind, "against before training"
    )
    return Finding(title, difference, text)
