"""What can be wrong with a single pair: pure functions of its two sides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lastword.pairs.generating.answers import cleaned, echoes, other_language
from lastword.pairs.generating.instructions import INSTRUCTIONS

NEAR, SHORT_WORDS, LENGTH_RATIO = 0.8, 2, 8.0
REMOVED, CLEANED = "removed", "cleaned"
LEAKED, REPEATED = "leaked evaluation texts", "repeated pairs"


@dataclass(frozen=True)
class Rule:
    """A rule for one pair.

    Attributes:
        name: of the issue.
        description: what the issue is.
        confidence: that anchor and positive have it, 0 … 1; a boolean where it is certain.
        fix: what a fix does with the pair: "removed", "cleaned", or "" for nothing.
    """

    name: str
    description: str
    confidence: Callable[[str, str], float]
    fix: str


def words(text: str) -> list[str]:
    """Words in lower case."""
    return re.findall(r"\w+", text.lower())


def identical(anchor: str, positive: str) -> bool:
    """Same words on both sides."""
    return words(anchor) == words(positive)


def nearly_identical(anchor: str, positive: str) -> bool:
    """Four of five distinct words in common, but not the same words."""
    first, second = set(words(anchor)), set(words(positive))
    if not first or not second or words(anchor) == words(positive):
        return False
    return len(first & second) >= NEAR * len(first | second)


def very_short(anchor: str, positive: str) -> bool:
    """A side of fewer than two words."""
    return min(len(words(anchor)), len(words(positive))) < SHORT_WORDS


def different_lengths(anchor: str, positive: str) -> bool:
    """One side more than eight times as long as the other."""
    shorter, longer = sorted((len(anchor), len(positive)))
    return shorter > 0 and longer > LENGTH_RATIO * shorter


def different_languages(anchor: str, positive: str) -> float:
    """Confidence that the sides are in different languages; 0 for single words."""
    return other_language(anchor, positive) if len(words(positive)) >= SHORT_WORDS else 0.0


def has_chat_artifacts(anchor: str, positive: str) -> bool:
    """A role header, a special token, a preamble or wrapping quotation marks in the positive alone."""
    return cleaned(positive) != " ".join(positive.split()) and cleaned(anchor) == " ".join(anchor.split())


def copies_instruction(anchor: str, positive: str) -> bool:
    """Six consecutive words of one of the paper's instructions."""
    return any(echoes(positive, instruction) for instruction in INSTRUCTIONS.values())


RULES = (
    Rule("chat artifacts", "role headers, special tokens, preambles or wrapping quotes in the positive",
         has_chat_artifacts, CLEANED),
    Rule("identical sides", "the same words on both sides: nothing to learn but dropout", identical, REMOVED),
    Rule("nearly identical sides", "four of five words in common: an easy pair", nearly_identical, REMOVED),
    Rule("very short sides", "a side of fewer than two words", very_short, REMOVED),
    Rule("different lengths", "one side more than eight times as long as the other", different_lengths, REMOVED),
    Rule("different languages", "the positive is likely in another language than the anchor", different_languages, ""),
    Rule("copied instruction", "the positive has words of the instruction", copies_instruction, REMOVED),
)  # fmt: skip
FIXED = (*(rule.name for rule in RULES if rule.fix), REPEATED, LEAKED)
"""Names of the issues that a fix removes or cleans."""
UNFIXED = (
    "different languages",
    "repeated anchors",
    "shared positives",
    "no closer than chance",
    "nearly equal vectors",
)
"""Names of the issues that a fix ignores."""
