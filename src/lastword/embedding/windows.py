"""Texts longer than the model reads: cut into windows that overlap, at spaces between words.

This file does not import torch: settings are checked before it is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lastword.errors import RequestError, unknown_name

KINDS = ("truncate", "windows", "late")
OVERLAP = 32
_LEAST = 16
"""Tokens of the smallest window."""
_RESERVE = 8
"""Tokens left free in a window of the largest size: a window may have a few more alone than inside its text."""
_MOVED = 16  # tokens that a cut may be moved back to a space
Offsets = Sequence[tuple[int, int]]
"""The (start, end) characters of each token of a text."""


class Window(NamedTuple):
    """A part of a text.

    Attributes:
        text: the whole text.
        start, end: characters of the part, without white space at its ends.
        first, last: first and last + 1 of its tokens.
    """

    text: str
    start: int
    end: int
    first: int
    last: int

    @property
    def part(self) -> str:
        """The part itself."""
        return self.text[self.start : self.end]


@dataclass(frozen=True)
class LongTexts:
    """What is done with texts that are longer than the model reads.

    Attributes:
        kind: "truncate" reads the beginning; "windows" embeds overlapping windows, each in the template; "late" reads
            as much as the model can in one pass and pools the states of each window afterwards.
        window: tokens of the text in a window; None is as many as fit into `max_tokens` with the template.
        overlap: tokens that a window has in common with the one before it, at least.
    """

    kind: str = "truncate"
    window: int | None = None
    overlap: int = OVERLAP

    @classmethod
    def parse(cls, text: str | LongTexts) -> LongTexts:
        """Read `truncate`, `windows`, `windows:256` (tokens of a window), `windows:256:32` (overlap), or `late…`.

        Raises:
            RequestError: an unknown kind, or numbers out of range.
        """
        if isinstance(text, LongTexts):
            return text
        if not isinstance(text, str):
            raise RequestError(unknown_name("long_texts", text, KINDS))
        kind, *numbers = text.lower().split(":")
        if kind not in KINDS:
            raise RequestError(unknown_name("long_texts", kind, KINDS))
        allowed = 0 if kind == "truncate" else 2
        if len(numbers) > allowed or not all(number.isdecimal() and len(number) < 7 for number in numbers):
            sized = f"{kind}, {kind}:256 or {kind}:256:32 (tokens of a window, and of the overlap)"
            raise RequestError(f"long_texts={text!r}: write {sized if allowed else kind}")
        window = int(numbers[0]) if numbers else None
        if window is not None and window < _LEAST:
            raise RequestError(f"long_texts={text!r}: a window has {_LEAST} tokens or more")
        usual = OVERLAP if window is None else min(OVERLAP, window // 2)
        overlap = int(numbers[1]) if len(numbers) == 2 else usual
        if window is not None and overlap > window // 2:
            raise RequestError(f"long_texts={text!r}: windows may overlap by half, here {window // 2} tokens")
        return cls(kind, window, overlap)

    @property
    def spec(self) -> str:
        """The string that `parse` reads."""
        if self.kind == "truncate" or (self.window is None and self.overlap == OVERLAP):
            return self.kind
        return f"{self.kind}:{self.window}:{self.overlap}"

    def fitted(self, room: int, model: str) -> LongTexts:
        """With the tokens of a window filled in.

        Args:
            room: tokens that a text may have beside the template.
            model: its name, for messages.

        Raises:
            RequestError: a window does not fit.
        """
        most = room - _RESERVE
        window = self.window or most
        if most < max(_LEAST, window):
            raise RequestError(
                f"long_texts={self.spec!r}: with this template and max_tokens, {model} has room for windows of "
                f"{max(most, 0)} tokens: use smaller ones, or raise max_tokens"
            )
        return LongTexts(self.kind, window, min(self.overlap, window // 2))


def cut(text: str, offsets: Offsets, tokens: int, overlap: int) -> list[Window]:
    """Cut a text into windows of at most `tokens` tokens that have `overlap` tokens or more in common.

    A cut is moved back to the next space, if there is one near.

    Args:
        text: the text.
        offsets: characters of each of its n tokens.
        tokens: of a window, at least 2.
        overlap: at most half of `tokens`.

    Returns:
        The windows in order; a text that is no longer is one window.
    """
    count, moved = len(offsets), min(_MOVED, tokens // 8)
    if count <= tokens:
        return [Window(text, 0, len(text), 0, count)]
    windows, first = list[Window](), 0
    while first + tokens < count:
        last = _at_space(text, offsets, first + tokens, moved)
        windows.append(_window(text, offsets, first, last))
        first = _at_space(text, offsets, last - overlap, moved)
    return [*windows, _window(text, offsets, first, count)]


def _at_space(text: str, offsets: Offsets, token: int, moved: int) -> int:
    """The last token up to this one that begins a word, at most `moved` before it; else the token itself."""
    for at in range(token, token - moved - 1, -1):
        start = offsets[at][0]
        if text[start : start + 1].isspace() or text[start - 1 : start].isspace():
            return at
    return token


def _window(text: str, offsets: Offsets, first: int, last: int) -> Window:
    start, end = offsets[first][0], offsets[last - 1][1]
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return Window(text, start, start + len(text[start:end].rstrip()), first, last)
