"""What can be wrong with one pair by itself: pure functions of its two sides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lastword.pairs.generating.answers import cleaned, echoes, other_language
from lastword.pairs.generating.instructions import INSTRUCTIONS

NEAR, TINY_WORDS, DRIFT = 0.8, 2, 8.0
LEFT_OUT, MENDED = "left out", "mended"


@dataclass(frozen=True)
class Rule:
    """A rule: how it is called, what it says, whether a pair breaks it, and what a fix does."""

    name: str
    about: str
    broken: Callable[[str, str], bool]
    fix: str


def words(text: str) -> list[str]:
    """Words in lower case."""
    return re.findall(r"\w+", text.lower())


def identical(anchor: str, positive: str) -> bool:
    """Same words on both sides."""
    return words(anchor) == words(positive)


def nearly_identical(anchor: str, positive: str) -> bool:
    """Four of five distinct words in common, without being the same."""
    one, other = set(words(anchor)), set(words(positive))
    if not one or not other or words(anchor) == words(positive):
        return False
    return len(one & other) >= NEAR * len(one | other)


def tiny(anchor: str, positive: str) -> bool:
    """A side of fewer than two words."""
    return min(len(words(anchor)), len(words(positive))) < TINY_WORDS


def drifted(anchor: str, positive: str) -> bool:
    """One side eight times as long as the other."""
    sizes = sorted((len(anchor), len(positive)))
    return sizes[0] > 0 and sizes[1] > DRIFT * sizes[0]


def in_two_languages(anchor: str, positive: str) -> bool:
    """The positive surely in another language."""
    return len(words(positive)) >= TINY_WORDS and other_language(positive, anchor)


def with_artefacts(anchor: str, positive: str) -> bool:
    """A role header, a special token, a preamble or wrapping quotation marks that the anchor has not."""
    return cleaned(positive) != " ".join(positive.split()) and cleaned(anchor) == " ".join(anchor.split())


def with_instruction(anchor: str, positive: str) -> bool:
    """Six words of one of the paper's instructions in a row."""
    return any(echoes(positive, instruction) for instruction in INSTRUCTIONS.values())


RULES = (
    Rule("leftovers of a chat", "role headers, special tokens, preambles or wrapping quotes in the positive",
         with_artefacts, MENDED),
    Rule("identical sides", "the same words on both sides: nothing to learn but dropout", identical, LEFT_OUT),
    Rule("nearly identical sides", "four of five words in common: an easy pair", nearly_identical, LEFT_OUT),
    Rule("tiny sides", "fewer than two words on a side", tiny, LEFT_OUT),
    Rule("length drift", "one side eight times as long as the other", drifted, LEFT_OUT),
    Rule("two languages", "the positive is in another language than the anchor", in_two_languages, LEFT_OUT),
    Rule("copied instruction", "words of the instruction stand in the positive", with_instruction, LEFT_OUT),
)  # fmt: skip
