"""Clean a model's answer, and find reasons to reject it.

Each answer is checked by itself: a bad answer costs one pair, not a batch.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from lastword.extras import needed
from lastword.pairs.generating.asides import aside

_ROLE = re.compile(r"^\s*(?:assistant|model|ai|bot|system|user)\s*(?::|\n)\s*", re.IGNORECASE)
_MARKS = re.compile(r"<\|[^|>\n]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
# Some prompts end with the opening tag themselves, so that an answer has the closing one alone.
_THINKING = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely|okay|ok)[!,. ]*)?"
    r"(?:here(?:'s| is| are)\b[^\n:]{0,60}\b(?:version|sentence|text|rewrit\w*|paraphras\w*|rephras\w*|explanation"
    r"|metaphor|question)\b[^\n:]{0,40}"
    r"|(?:the )?(?:rewritten|paraphrased|simplified|rephrased) (?:sentence|text|version)(?: is| would be)?"
    r"|rewritten|rewrite|paraphrase|explanation|metaphor|question|sure|certainly)\s*:\s+",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "„": "“", "`": "`"}
MAX_GROWTH = 12  # times the length of the text, and EXTRA_CHARACTERS more
EXTRA_CHARACTERS = 600
# Logistic curve of tools/results/languages.py: nats by which each text is likelier in its own language, where the
# confidence is one half, and its width.
_MARGIN, _MARGIN_WIDTH = 35.3, 5.8
LIKELY = 0.5
"""Confidence from which two texts are taken to be in different languages."""
_MIN_BYTES = (
    12  # of lower-case words to detect a language: four Chinese characters, or two short English words
)


def cleaned(answer: str) -> str:
    """Remove role headers, special tokens, thinking, preambles and wrapping quotation marks."""
    text = _MARKS.sub("", _THINKING.sub("", answer)).strip()
    while (shorter := _PREAMBLE.sub("", _ROLE.sub("", text), count=1).strip()) != text:
        text = shorter
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return " ".join(text.split())


def problem(answer: str, text: str, instruction: str) -> str:
    """Why a cleaned answer is not a rewriting of the text; "" if it is."""
    if not any(character.isalnum() for character in answer):
        return "empty answer"
    if spoken := aside(answer, text):
        return spoken
    if _folded(answer) == _folded(text):
        return "the text itself"
    if echoes(answer, instruction):
        return "echo of the instruction"
    if len(answer) > MAX_GROWTH * len(text) + EXTRA_CHARACTERS:
        return "far longer than the text"
    if other_language(text, answer) >= LIKELY:
        return "another language than the text's"
    return ""


def echoes(answer: str, instruction: str) -> bool:
    """Whether the answer contains six consecutive words of the instruction."""
    padded = f" {_folded(answer)} "
    return any(run in padded for run in _runs_of_six(instruction))


@cache
def _runs_of_six(instruction: str) -> list[str]:
    words = _folded(instruction.partition("{text}")[0]).split()
    return [f" {' '.join(words[i : i + 6])} " for i in range(max(1, len(words) - 5)) if words]


def other_language(text: str, answer: str) -> float:
    """Confidence that the answer is in another language than the text, 0 … 1.

    It follows from how much likelier each is in its own language. Names have a language of their own, so that this
    must also hold without capitalized words; where little else is left, as in most titles, it is 0. The curve was
    fitted on sentences in 16 languages and on product names; see `tools/results/languages.py`.

    Raises:
        MissingExtraError: the extra for language detection is not installed.
    """
    lower = _lower_case_words(text), _lower_case_words(answer)
    if min(len(words.encode()) for words in lower) < _MIN_BYTES:
        return 0.0
    margin = min(language_margin(text, answer), language_margin(*lower))
    return 1 / (1 + math.exp(min((_MARGIN - margin) / _MARGIN_WIDTH, 700.0)))


def language_detector() -> Any:
    """The library py3langid.

    Raises:
        MissingExtraError: it is not installed.
    """
    return needed("py3langid", "pairs", "language detection")


def language_margin(text: str, answer: str) -> float:
    """Nats by which the likeliest language of each is likelier than that of the other; the smaller of both."""
    langid = language_detector()
    of_text, of_answer = dict(langid.rank(text)), dict(langid.rank(answer))
    first, second = (max(scores, key=scores.__getitem__) for scores in (of_text, of_answer))
    return float(min(of_answer[second] - of_answer[first], of_text[first] - of_text[second]))


def _lower_case_words(text: str) -> str:
    return " ".join(word for word in re.findall(r"\w+", text) if not word[0].isupper())


def _folded(text: str) -> str:
    """Words in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))
