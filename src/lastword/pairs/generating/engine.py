"""What stands behind a rewriting: something that answers prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Prompt:
    """A prompt, and the seed of its own that decides a drawn answer."""

    text: str
    seed: int


@dataclass(frozen=True)
class Answer:
    """An answer, or why there is none.

    Attributes:
        text: as the model gave it.
        problem: reason to reject it, or "".
    """

    text: str
    problem: str = ""


CUT = "answer cut at the token limit"


class Engine(Protocol):
    """A language model: a local one, or one behind an endpoint."""

    def settings(self) -> dict[str, Any]:
        """Whatever may change an answer, as JSON has it."""

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """One answer for each prompt, in their order."""
