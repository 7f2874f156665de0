"""The findings of `checks.py` in Markdown, for the README of the bundled data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import checks
import likeness


def render(findings: checks.Findings) -> str:
    """Format the findings; the same findings always give the same text."""
    verdict = f"**Faults found: {len(findings.faults)}.**" + "".join(
        f"\n- {fault}" for fault in findings.faults
    )
    sections = [
        _sets(findings),
        _lengths(findings),
        _similarity(findings),
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
        "It is a fault if a text occurs twice in the four sets (letter case and punctuation aside), if a label, "
        "subject or domain has more or fewer texts than the others in a split or style, if less than "
        f"{checks.DISTINCT_RUNS:.0%} of the four-word runs of a set are distinct, or if more than "
        f"{checks.SAME_OPENING:.0%} of the texts of one of them begin with the same two words."
    )
    yield ""
    yield from _table(
        [
            "set",
            "texts",
            "labels, subjects or domains",
            "distinct four-word runs",
            "most with one opening, in one of them",
        ],
        (
            (name, f"{facts.texts:,}", facts.files, f"{facts.distinct_runs:.2%}", _opening(facts))
            for name, facts in findings.sets.items()
        ),
    )


def _opening(facts: checks.SetFindings) -> str:
    share, _ = max(facts.openings.values())
    return f"{share:.1%} ({round(share * facts.texts / facts.files)} of {facts.texts // facts.files})"


def _lengths(findings: checks.Findings) -> Iterator[str]:
    yield "Words per text:"
    yield ""
    yield from _table(
        ["texts", "number", "least", "median", "most"],
        (
            (f"{name}, {part}", f"{number:,}", least, f"{median:g}", most)
            for name, facts in findings.sets.items()
            for part, (number, least, median, most) in facts.lengths.items()
        ),
    )


def _similarity(findings: checks.Findings) -> Iterator[str]:
    yield (
        "Similarity is the exact Jaccard index of the content words (all but function words), and of the four-word "
        "runs, of every two texts. It is a fault if two texts reach "
        f"{likeness.LIKE_WORDS:g} in words or {likeness.LIKE_RUNS:g} in runs; the highest values are:"
    )
    yield ""
    yield from _table(
        ["compared", "text pairs", "words", "runs"],
        (
            (name, f"{findings.compared[name]:,}", *(f"{value:.2f}" for value in findings.highest[name]))
            for name in findings.compared
        ),
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
                f"{sum(pair.words for pair in text_pairs) / len(text_pairs):.2f}",
                f"{max(pair.words for pair in text_pairs):.2f}",
                f"{max(pair.runs for pair in text_pairs):.2f}",
            )
            for style, text_pairs in findings.rewritings.items()
        ),
    )
