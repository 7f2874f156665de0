"""Small damage to a text that leaves its meaning: words dropped or swapped, characters swapped.

Pure functions of a text and a random generator. Each changes something where a text allows it: an
unchanged text would be a pair of a text with itself.

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
    """Drop each word with a chance of 10 %; one at least, and never all."""
    words = text.split()
    if len(words) < 2:
        return text
    kept = [word for word in words if rng.random() >= DELETED_SHARE]
    if not kept or len(kept) == len(words):
        gone = rng.randrange(len(words))
        kept = words[:gone] + words[gone + 1 :]
    return " ".join(kept)


def swap_words(text: str, rng: random.Random) -> str:
    """Exchange two words that differ."""
    words = text.split()
    if len(set(words)) < 2:
        return text
    first = rng.randrange(len(words))
    second = rng.choice([i for i, word in enumerate(words) if word != words[first]])
    words[first], words[second] = words[second], words[first]
    return " ".join(words)


def swap_characters(text: str, rng: random.Random) -> str:
    """Exchange two neighbouring characters that differ, in 5 % of the words and in one at least."""
    words = text.split()
    able = [i for i, word in enumerate(words) if any(a != b for a, b in pairwise(word))]
    if not able:
        return text
    chosen = [i for i in able if rng.random() < SWAPPED_CHARACTERS_SHARE] or [rng.choice(able)]
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


def checked_noises(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        RequestError: an unknown name.
    """
    for name in names:
        if name not in NOISES:
            raise RequestError(unknown_name("noise", name, NOISES))
    return tuple(names)


def noisy(text: str, names: Sequence[str], rng: random.Random) -> str:
    """Apply the named noises one after another."""
    for name in names:
        text = NOISES[name](text, rng)
    return text
