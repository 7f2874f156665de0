"""The findings of `checks.py` in Markdown, for the README of the bundled data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import checks
import likeness


def render(findings: checks.Findings) -> str:
    """Lay out the findings; the same findings always give the same text."""
    verdict = f"**Faults found: {len(findings.faults)}.**" + "".join(
        f"\n- {fault}" for fault in findings.faults
    )
    sections = [
        _sets(findings),
        _lengths(findings),
        _likeness(findings),
        _closest(findings),
        _rewritings(findings),
    ]
    return "\n\n".join([verdict, *("\n".join(section) for section in sections)])


def _table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def _sets(findings: checks.Findings) -> Iterator[str]:
    yield (
        "It is a fault if a text occurs twice in the three sets together (letter case and punctuation aside), if a "
        "label or subject has more or fewer texts than the others in a split or style, if less than "
        f"{checks.DISTINCT_RUNS:.0%} of the four-word runs of a set are distinct, or if more than "
        f"{checks.SAME_OPENING:.0%} of the texts of a label or subject begin with the same two words."
    )
    yield ""
    yield from _table(
        [
            "set",
            "texts",
            "labels or subjects",
            "distinct four-word runs",
            "most with one opening, per label or subject",
        ],
        (
            (name, f"{one.texts:,}", one.files, f"{one.distinct_runs:.2%}", _opening(one))
            for name, one in findings.sets.items()
        ),
    )


def _opening(one: checks.SetFindings) -> str:
    share, _ = max(one.openings.values())
    return f"{share:.1%} ({round(share * one.texts / one.files)} of {one.texts // one.files})"


def _lengths(findings: checks.Findings) -> Iterator[str]:
    yield "Words per text:"
    yield ""
    yield from _table(
        ["texts", "number", "least", "median", "most"],
        (
            (f"{name}, {part}", f"{number:,}", least, f"{median:g}", most)
            for name, one in findings.sets.items()
            for part, (number, least, median, most) in one.lengths.items()
        ),
    )


def _likeness(findings: checks.Findings) -> Iterator[str]:
    yield (
        "Likeness is the exact Jaccard index: the share of content words (all but function words), and of four-word "
        "runs, that two texts have in common. Every couple is compared. It is a fault if two texts reach "
        f"{likeness.LIKE_WORDS:g} in words or {likeness.LIKE_RUNS:g} in runs; the highest values are:"
    )
    yield ""
    yield from _table(
        ["compared", "couples", "words", "runs"],
        (
            (name, f"{findings.compared[name]:,}", *(f"{value:.2f}" for value in findings.highest[name]))
            for name in findings.compared
        ),
    )


def _closest(findings: checks.Findings) -> Iterator[str]:
    yield f"The {checks.SHOWN} closest couples of each comparison (words, runs):"
    for name, couples in findings.closest.items():
        yield ""
        yield f"- {name}"
        for couple in couples:
            yield (
                f"  - {couple.words:.2f}, {couple.runs:.2f}: "
                f"“{couple.left.text}” ({couple.left.file}) / “{couple.right.text}” ({couple.right.file})"
            )


def _rewritings(findings: checks.Findings) -> Iterator[str]:
    yield (
        "Each sentence beside its own rewritings; it is a fault if one shares "
        f"{checks.COPIED_WORDS:g} of the content words or {checks.COPIED_RUNS:g} of the four-word runs:"
    )
    yield ""
    yield from _table(
        ["style", "words, mean", "words, highest", "runs, highest"],
        (
            (
                style,
                f"{sum(couple.words for couple in couples) / len(couples):.2f}",
                f"{max(couple.words for couple in couples):.2f}",
                f"{max(couple.runs for couple in couples):.2f}",
            )
            for style, couples in findings.rewritings.items()
        ),
    )
