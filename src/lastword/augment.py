"""Text augmentation that keeps the meaning: words deleted or swapped, characters swapped.

Pure functions of a text and a random generator. Each changes something wherever the text allows it: an
unchanged copy would make a pair of a text with itself.

Source: arXiv:2507.22729, §3.3: 10 % of the words deleted, one swap of words, adjacent characters swapped
in 5 % of the words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from lastword.errors import RequestError, unknown_name

DELETED_SHARE, SWAPPED_CHARACTERS_SHARE = 0.10, 0.05


def delete_words(text: str, rng: random.Random) -> str:
    """Delete each word with a probability of 10 %; at least one, and never all."""
    words = text.split()
    if len(words) < 2:
        return text
    rest = [word for word in words if rng.random() >= DELETED_SHARE]
    if not rest or len(rest) == len(words):
        deleted = rng.randrange(len(words))
        rest = words[:deleted] + words[deleted + 1 :]
    return " ".join(rest)


def swap_words(text: str, rng: random.Random) -> str:
    """Swap two different words."""
    words = text.split()
    if len(set(words)) < 2:
        return text
    first = rng.randrange(len(words))
    second = rng.choice([i for i, word in enumerate(words) if word != words[first]])
    words[first], words[second] = words[second], words[first]
    return " ".join(words)


def swap_characters(text: str, rng: random.Random) -> str:
    """Swap two adjacent, different characters in 5 % of the words, and in at least one."""
    words = text.split()
    candidates = [i for i, word in enumerate(words) if any(a != b for a, b in pairwise(word))]
    if not candidates:
        return text
    chosen = [i for i in candidates if rng.random() < SWAPPED_CHARACTERS_SHARE] or [rng.choice(candidates)]
    for i in chosen:
        words[i] = _swapped(words[i], rng)
    return " ".join(words)


def _swapped(word: str, rng: random.Random) -> str:
    at = rng.choice([i for i in range(len(word) - 1) if word[i] != word[i + 1]])
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


NOISES: dict[str, Callable[[str, random.Random], str]] = {
    "delete": delete_words,
    "swap": swap_words,
    "characters": swap_characters,
}
"""The kinds of noise by name."""


def checked_noises(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        RequestError: a name is not in `NOISES`.
    """
    for name in names:
        if name not in NOISES:
            raise RequestError(unknown_name("noise", name, NOISES))
    return tuple(names)


def noisy(text: str, names: Sequence[str], rng: random.Random) -> str:
    """Apply the named kinds of noise one after another."""
    for name in names:
        text = NOISES[name](text, rng)
    return text
