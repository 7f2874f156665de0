"""The token ids of a text by its parts, and what may go wrong when they are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Parts:
    """What the sequence of a text is made of.

    Attributes:
        raw: ids of the text with its outer white space.
        text: ids of the text, as the tokenizer of the model prepares it.
        prefix, suffix: ids around it.
        bos, eos: ids of the tokens that begin and end texts, or None.
        longest: longest sequence.
    """

    raw: tuple[int, ...]
    text: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    bos: int | None
    eos: int | None
    longest: int

    @property
    def sequence(self) -> tuple[int, ...]:
        """The right one."""
        return self._fitted(self.prefix, self.text, self.suffix)

    def _budget(self, longest: int) -> int:
        return longest - len(self.prefix) - len(self.suffix)

    def _fitted(
        self, prefix: tuple[int, ...], text: tuple[int, ...], suffix: tuple[int, ...]
    ) -> tuple[int, ...]:
        return (*prefix, *text[: max(self.longest - len(prefix) - len(suffix), 0)], *suffix)

    @property
    def _begin(self) -> tuple[int, ...]:
        return self.prefix[:1] if self.bos is not None and self.prefix[:1] == (self.bos,) else ()

    @property
    def _end(self) -> tuple[int, ...]:
        return self.suffix[-1:] if self.eos is not None and self.suffix[-1:] == (self.eos,) else ()

    def without_prompt(self) -> tuple[int, ...]:
        """Begin-of-text and end-of-text tokens stay."""
        return self._fitted(self._begin, self.text, self._end)

    def bare(self) -> tuple[int, ...]:
        """The text alone, without any special token."""
        return self._fitted((), self.text, ())

    def with_prompt_twice(self) -> tuple[int, ...]:
        """The client puts the template around texts, and the server again."""
        begin, end = self._begin, self._end
        inner = (*self.prefix[len(begin) :], *self.text, *self.suffix[: len(self.suffix) - len(end)])
        return self._fitted(self.prefix, inner, self.suffix)

    def without_prefix(self) -> tuple[int, ...]:
        """The begin-of-text token stays."""
        return self._fitted(self._begin, self.text, self.suffix)

    def without_suffix(self) -> tuple[int, ...]:
        """The end-of-text token stays."""
        return self._fitted(self.prefix, self.text, self._end)

    def cut_suffix(self) -> tuple[int, ...]:
        """The whole sequence is truncated, not the text in it."""
        return (*self.prefix, *self.text, *self.suffix)[: self.longest]

    def without_bos(self) -> tuple[int, ...]:
        """Only the begin-of-text token is missing."""
        return self._fitted(self.prefix[len(self._begin) :], self.text, self.suffix)

    def with_bos(self) -> tuple[int, ...]:
        """A begin-of-text token too many."""
        return self._fitted(
            ((self.bos,) if self.bos is not None else ()) + self.prefix, self.text, self.suffix
        )

    def without_eos(self) -> tuple[int, ...]:
        """Only the end-of-text token is missing."""
        return self._fitted(self.prefix, self.text, self.suffix[: len(self.suffix) - len(self._end)])

    def with_eos(self) -> tuple[int, ...]:
        """An end-of-text token too many."""
        return self._fitted(
            self.prefix, self.text, self.suffix + ((self.eos,) if self.eos is not None else ())
        )

    def with_white_space(self) -> tuple[int, ...]:
        """Outer white space is kept."""
        return self._fitted(self.prefix, self.raw, self.suffix)

    def begun_later(self) -> tuple[int, ...]:
        """A long text loses its beginning, not its end."""
        kept = self._budget(self.longest)
        return (*self.prefix, *self.text[max(len(self.text) - kept, 0) :], *self.suffix)

    def shortened(self, longest: int) -> tuple[int, ...]:
        """Sequences are truncated at another length; template and text order stay."""
        return (*self.prefix, *self.text[: max(self._budget(longest), 0)], *self.suffix)


SEQUENCES: tuple[tuple[str, Callable[[Parts], tuple[int, ...]]], ...] = (
    ("prompt missing", Parts.without_prompt),
    ("prompt twice", Parts.with_prompt_twice),
    ("begin-of-text token missing", Parts.without_bos),
    ("begin-of-text token added", Parts.with_bos),
    ("end-of-text token missing", Parts.without_eos),
    ("end-of-text token added", Parts.with_eos),
    ("prompt missing", Parts.bare),
    ("prefix missing", Parts.without_prefix),
    ("suffix missing", Parts.without_suffix),
    ("suffix cut", Parts.cut_suffix),
    ("texts truncated at their beginning", Parts.begun_later),
    ("white space kept", Parts.with_white_space),
)
"""Causes, and the sequences that they make."""
TRUNCATION = "another longest sequence"
TOKENIZER = "another tokenizer"


def cause_of_ids(parts: list[Parts], expected: list[list[int]], ids: list[list[int]]) -> str | None:
    """Why a target gives other token ids, or None if it gives the same.

    Args:
        parts: of n texts; empty where the model that would tell is not at hand.
        expected: the right ids of these texts.
        ids: those of the target.
    """
    if ids == expected:
        return None
    if not parts:
        return TOKENIZER
    for cause, sequence in SEQUENCES:
        if all(list(sequence(each)) == row for each, row in zip(parts, ids, strict=True)):
            return cause
    longest = max(map(len, ids))
    shortened = [list(each.shortened(min(longest, len(each.sequence)))) for each in parts]
    return TRUNCATION if shortened == ids else TOKENIZER
