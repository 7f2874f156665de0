"""Names of groups: of distinctive terms, of words that the model predicts, of both, or by a chat model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lastword.console import warn

NAMINGS = ("terms", "head", "joined")
"""Ways of naming: class-based TF-IDF terms, words of the model's output head, both lists joined."""
NONE = "unclustered"
"""Name of the texts that are in no group."""
Chat = Callable[[Sequence[str]], Sequence[str]]
"""A chat model: n prompts → n answers, "" where it has none."""
_IN_NAME = 3
_LONGEST = 60
_SHOWN_TEXTS, _SHOWN_CHARACTERS = 8, 240
_PROMPT = """These texts were grouped by a computer. Their distinctive words: {words}.

{texts}

What do they have in common? Answer with a name for the group: one to four words, nothing else."""


@dataclass(frozen=True)
class Words:
    """What names of one group are made of, each list best first.

    Attributes:
        joined: of both lists below.
        terms: distinctive terms of the texts.
        head: words of the model's output head; None without a model that has one.
    """

    joined: list[str]
    terms: list[str]
    head: list[str] | None


def name_of(words: Sequence[str], number: int) -> str:
    """A name of the first words; of a group without any, its number."""
    return ", ".join(words[:_IN_NAME]) or f"group {number}"


def unique(names: Sequence[str]) -> list[str]:
    """Names that differ: repeated ones get the number of their group."""
    return [
        name if names.count(name) == 1 and name != NONE else f"{name} ({number})"
        for number, name in enumerate(names)
    ]


def chat_names(
    chat: Chat, words_of: Sequence[Sequence[str]], texts_of: Sequence[Sequence[str]]
) -> list[str | None]:
    """The name that a chat model gives to each group; None where its answer is none.

    Args:
        chat: the model.
        words_of: distinctive words of each group.
        texts_of: typical texts of each group, the first ones are shown.
    """
    prompts = [
        _PROMPT.format(words=", ".join(words), texts="\n".join(f"- {_short(text)}" for text in texts[:_SHOWN_TEXTS]))
        for words, texts in zip(words_of, texts_of, strict=True)
    ]  # fmt: skip
    names = [_parsed(answer) for answer in chat(prompts)]
    if missing := sum(name is None for name in names):
        warn(f"the chat model gave no name for {missing} of {len(names)} groups: these have a name of words")
    return names


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _parsed(answer: str) -> str | None:
    """The name in an answer: its first line without marks around it, if that is short enough."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    name = (
        re.sub(r"^(group )?name:\s*", "", lines[0].strip("*#\"'“”`. "), flags=re.IGNORECASE) if lines else ""
    )
    name = name.strip("*\"'“”`. ")
    return name if 0 < len(name) <= _LONGEST else None
