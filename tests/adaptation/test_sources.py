"""The mixture of pairs: what each source gives."""

from __future__ import annotations

import pytest

from lastword.adaptation.request import SOURCES, pair_sources
from lastword.adaptation.sources import shares


@pytest.mark.parametrize(
    ("available", "weights", "wanted", "counts"),
    [
        ({"a": 900, "b": 900}, {"a": 1, "b": 1}, 100, {"a": 50, "b": 50}),
        ({"a": 900, "b": 900}, {"a": 3, "b": 1}, 100, {"a": 75, "b": 25}),
        ({"a": 10, "b": 900, "c": 900}, {"a": 1, "b": 1, "c": 1}, 100, {"a": 10, "b": 45, "c": 45}),
        ({"a": 10, "b": 20}, {"a": 1, "b": 1}, 100, {"a": 10, "b": 20}),
        ({"a": 0, "b": 200}, {"a": 1, "b": 0.5}, 100, {"a": 0, "b": 100}),
    ],
)
def test_what_a_source_lacks_the_others_give(
    available: dict[str, int], weights: dict[str, float], wanted: int, counts: dict[str, int]
) -> None:
    assert shares(available, weights, wanted) == counts


def test_the_default_is_all_that_the_request_allows() -> None:
    assert list(pair_sources(None, labelled=False, rewriting=False)) == [
        "crop",
        "noise",
        "neighbours",
        "words",
    ]
    assert tuple(pair_sources(None, labelled=True, rewriting=True)) == SOURCES
    assert pair_sources(["noise"], labelled=False, rewriting=False) == {"noise": 1.0}


def test_the_command_line_knows_all_sources() -> None:
    from lastword.cli import adapt

    assert adapt.SOURCES == SOURCES
