"""What a language model has to offer to rewrite texts: answers to prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Prompt:
    """A prompt, and the seed of its sampled answer."""

    text: str
    seed: int


@dataclass(frozen=True)
class Answer:
    """An answer, or why there is none.

    Attributes:
        text: the model's answer as it is.
        problem: reason to reject it, or "".
    """

    text: str
    problem: str = ""


TRUNCATED = "answer truncated at the token limit"


class Engine(Protocol):
    """A language model: a local one, or one behind an endpoint."""

    def settings(self) -> dict[str, Any]:
        """Whatever may change an answer, as JSON values."""

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """One answer for each prompt, in their order."""
