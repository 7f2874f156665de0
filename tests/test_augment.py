"""Noise changes something, not much, and depends on the seed alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.augment import NOISES, checked_noises, delete_words, noisy, swap_characters, swap_words
from lastword.errors import RequestError

Refused = Callable[..., str]
texts = st.text("abc dé 🚲\n", max_size=60)


@given(text=texts, seed=st.integers(0, 9), name=st.sampled_from(list(NOISES)))
def test_the_same_seed_gives_the_same_text(text: str, seed: int, name: str) -> None:
    assert NOISES[name](text, random.Random(seed)) == NOISES[name](text, random.Random(seed))


@given(text=texts, seed=st.integers(0, 9))
def test_words_are_deleted_in_place(text: str, seed: int) -> None:
    before, after = text.split(), delete_words(text, random.Random(seed)).split()
    if len(before) > 1:
        assert 0 < len(after) < len(before)
    rest = iter(before)
    assert all(word in rest for word in after), "the other words keep their order"


@given(text=texts, seed=st.integers(0, 9))
def test_two_words_are_swapped(text: str, seed: int) -> None:
    before, after = text.split(), swap_words(text, random.Random(seed)).split()
    assert Counter(before) == Counter(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == (2 if len(set(before)) > 1 else 0)


@given(text=texts, seed=st.integers(0, 9))
def test_characters_are_swapped_inside_words(text: str, seed: int) -> None:
    before, after = text.split(), swap_characters(text, random.Random(seed)).split()
    assert [Counter(word) for word in before] == [Counter(word) for word in after]
    if any(len(set(word)) > 1 for word in before):
        assert before != after


def test_shares_are_the_papers() -> None:
    """In a long text a tenth of the words is deleted, and one word in twenty has characters swapped."""
    words = [f"w{i}x" for i in range(20_000)]
    deleted = delete_words(" ".join(words), random.Random(0)).split()
    assert len(deleted) / len(words) == pytest.approx(0.90, abs=0.01)
    swapped = swap_characters(" ".join(words), random.Random(0)).split()
    assert sum(a != b for a, b in zip(words, swapped, strict=True)) / len(words) == pytest.approx(
        0.05, abs=0.01
    )


def test_noises_are_applied_in_order() -> None:
    text = "one two three four five six"
    both = noisy(text, ["delete", "swap"], random.Random(3))
    rng = random.Random(3)
    assert both == swap_words(delete_words(text, rng), rng)


def test_unknown_noise_is_refused(refused: Refused) -> None:
    assert refused(RequestError, checked_noises, ["delet"]) == (
        "unknown noise 'delet': did you mean 'delete'? Known: delete, swap, characters"
    )
