"""From what a model said to the text it meant, or to the reason why it will not do.

Each answer is judged by itself: one bad answer costs one pair, not a batch.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from lastword.extras import needed

_ROLE = re.compile(r"^\s*(?:assistant|model|ai|bot|system|user)\s*(?::|\n)\s*", re.IGNORECASE)
_MARKS = re.compile(r"<\|[^|>\n]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
# Some prompts end with the opening tag themselves, so that an answer has the closing one alone.
_THOUGHT = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely|okay|ok)[!,. ]*)?"
    r"(?:here(?:'s| is| are)\b[^\n:]{0,60}\b(?:version|sentence|text|rewrit\w*|paraphras\w*|rephras\w*|explanation"
    r"|metaphor|question)\b[^\n:]{0,40}"
    r"|(?:the )?(?:rewritten|paraphrased|simplified|rephrased) (?:sentence|text|version)(?: is| would be)?"
    r"|rewritten|rewrite|paraphrase|explanation|metaphor|question|sure|certainly)\s*:\s+",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^(?:i(?:'|’)?m sorry|i am sorry|sorry,|i apologi[sz]e|i can(?:no|'|’)t (?:help|assist|do|fulfil|provide|rewrite)"
    r"|i(?:'|’)m (?:unable|not able)|i am (?:unable|not able)|as an ai\b|as a language model\b|unfortunately, i can)",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "„": "“", "`": "`"}
LONGEST = 12  # times the length of the text, and LEAST characters on top of that
LEAST = 600
_SURE = 10.0  # nats by which a language must be likelier than the other
_TELLING = 12  # bytes of common words that tell a language: four Chinese signs, or two short English words


def cleaned(answer: str) -> str:
    """Strip role headers, special tokens, thoughts, preambles and wrapping quotation marks."""
    text = _MARKS.sub("", _THOUGHT.sub("", answer)).strip()
    while (shorter := _PREAMBLE.sub("", _ROLE.sub("", text), count=1).strip()) != text:
        text = shorter
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return " ".join(text.split())


def problem(answer: str, text: str, instruction: str) -> str:
    """Why a cleaned answer is no rewriting of the text; "" if it is one."""
    if not any(character.isalnum() for character in answer):
        return "empty answer"
    if _REFUSAL.match(answer):
        return "refusal"
    if _folded(answer) == _folded(text):
        return "the text itself"
    if echoes(answer, instruction):
        return "echo of the instruction"
    if len(answer) > LONGEST * len(text) + LEAST:
        return "far longer than the text"
    if other_language(answer, text):
        return "another language than the text's"
    return ""


def echoes(answer: str, instruction: str) -> bool:
    """Whether six words of the instruction in a row stand in the answer."""
    said = f" {_folded(answer)} "
    return any(run in said for run in _runs_of_six(instruction))


@cache
def _runs_of_six(instruction: str) -> list[str]:
    words = _folded(instruction.partition("{text}")[0]).split()
    return [f" {' '.join(words[i : i + 6])} " for i in range(max(1, len(words) - 5)) if words]


def other_language(answer: str, text: str) -> bool:
    """Whether the answer is surely in another language than the text: each far likelier in its own.

    It must be so without the words with a capital too, for a name has its own language; where little else is
    left, as in most titles, nothing is sure.
    """
    lower = _common_words(text), _common_words(answer)
    if min(len(words.encode()) for words in lower) < _TELLING:
        return False
    return _far_apart(text, answer) and _far_apart(*lower)


def _far_apart(text: str, answer: str) -> bool:
    langid: Any = needed("py3langid", "pairs", "telling languages apart")
    of_text, of_answer = dict(langid.rank(text)), dict(langid.rank(answer))
    mine, other = (max(scores, key=scores.__getitem__) for scores in (of_text, of_answer))
    return bool(of_answer[other] - of_answer[mine] > _SURE and of_text[mine] - of_text[other] > _SURE)


def _common_words(text: str) -> str:
    return " ".join(word for word in re.findall(r"\w+", text) if not word[0].isupper())


def _folded(text: str) -> str:
    """Words in lower case, punctuation left out."""
    return " ".join(re.findall(r"\w+", text.lower()))
