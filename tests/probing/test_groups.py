"""The grid in parts: nothing twice, nothing left out, and never more than the bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.probing.choices import Choices, read_layers, read_poolings, read_templates
from lastword.probing.groups import groups

NAMES = "none,eol,pcot,sum,ccw,ccp,question,classify"
CHOICES = Choices(read_templates(NAMES), read_poolings(None), read_layers("all", 2))
BYTES_PER_OPTION = 100 * 32 * 8


@given(most=st.integers(1, 200))
@settings(max_examples=30)
def test_every_option_once_and_within_the_bound(most: int, load: Callable[..., Embedder]) -> None:
    parts = list(groups(load(), CHOICES, texts=100, memory_gib=(most + 0.5) * BYTES_PER_OPTION / 2**30))
    count = Counter(
        (template.text, pooling.spec, layer)
        for part in parts
        for template in part.templates
        for pooling in part.poolings
        for layer in part.layers
    )
    assert len(count) == CHOICES.options == 8 * 5 * 3
    assert set(count.values()) == {1}
    assert max(part.options for part in parts) <= most


def test_cut_between_beginnings_then_by_layers(load: Callable[..., Embedder]) -> None:
    def shape(most: int) -> list[tuple[int, int, int]]:
        bound = most * BYTES_PER_OPTION / 2**30 * 1.001
        parts = groups(load(), CHOICES, texts=100, memory_gib=bound)
        return [(len(part.templates), len(part.poolings), len(part.layers)) for part in parts]

    assert sorted(shape(1000)) == [*[(1, 5, 3)] * 4, (4, 5, 3)]
    assert sorted(shape(40)) == [*[(1, 5, 3)] * 4, (4, 5, 1), (4, 5, 2)]
    assert sorted(shape(10)) == sorted([*[(1, 5, 1), (1, 5, 2)] * 4, *[(2, 5, 1)] * 6])
    assert set(shape(2)) == {(1, 1, 1), (1, 2, 1)}


def test_a_bound_below_one_option_takes_one_at_a_time(load: Callable[..., Embedder]) -> None:
    parts = list(groups(load(), CHOICES, texts=10**9, memory_gib=0.001))
    assert {part.options for part in parts} == {1}


def test_a_bound_of_nothing_is_refused(load: Callable[..., Embedder], refused: Callable[..., str]) -> None:
    message = refused(RequestError, lambda: list(groups(load(), CHOICES, texts=1, memory_gib=0)))
    assert message == "memory_gib=0: give more than 0"


@pytest.mark.parametrize("memory_gib", [float("nan"), -1.0])
def test_so_is_one_below(
    memory_gib: float, load: Callable[..., Embedder], refused: Callable[..., str]
) -> None:
    message = refused(RequestError, lambda: list(groups(load(), CHOICES, texts=1, memory_gib=memory_gib)))
    assert message == f"memory_gib={memory_gib}: give more than 0"
