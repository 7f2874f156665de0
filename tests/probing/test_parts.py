"""The options in parts: each option once, and never more than the bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from lastword.embedding import Embedder
from lastword.embedding.grid import GridAxes
from lastword.probing.choices import read_layers, read_poolings, read_templates
from lastword.probing.scoring import parts_within

NAMES = "none,eol,pcot,sum,ccw,ccp,question,classify"
AXES = GridAxes(read_templates(NAMES), read_poolings(None), read_layers("all", 2))
BYTES_PER_OPTION = 100 * 32 * 8


def options(axes: GridAxes) -> int:
    return len(axes.templates) * len(axes.poolings) * len(axes.layers)


@given(most=st.integers(1, 200))
@settings(max_examples=30)
def test_every_option_once_and_within_the_bound(most: int, load: Callable[..., Embedder]) -> None:
    parts = list(parts_within(load(), AXES, texts=100, memory_gib=(most + 0.5) * BYTES_PER_OPTION / 2**30))
    count = Counter(
        (template.text, pooling.spec, layer)
        for part in parts
        for template in part.templates
        for pooling in part.poolings
        for layer in part.layers
    )
    assert len(count) == 8 * 5 * 3
    assert set(count.values()) == {1}
    assert max(map(options, parts)) <= most


def test_divided_by_beginnings_then_by_layers(load: Callable[..., Embedder]) -> None:
    def shape(most: int) -> list[tuple[int, int, int]]:
        bound = most * BYTES_PER_OPTION / 2**30 * 1.001
        parts = parts_within(load(), AXES, texts=100, memory_gib=bound)
        return [(len(part.templates), len(part.poolings), len(part.layers)) for part in parts]

    assert sorted(shape(1000)) == [*[(1, 5, 3)] * 4, (4, 5, 3)]
    assert sorted(shape(40)) == [*[(1, 5, 3)] * 4, (4, 5, 1), (4, 5, 2)]
    assert sorted(shape(10)) == sorted([*[(1, 5, 1), (1, 5, 2)] * 4, *[(2, 5, 1)] * 6])
    assert set(shape(2)) == {(1, 1, 1), (1, 2, 1)}


def test_with_a_bound_below_one_option_each_part_has_one(load: Callable[..., Embedder]) -> None:
    parts = list(parts_within(load(), AXES, texts=10**9, memory_gib=0.001))
    assert set(map(options, parts)) == {1}
