"""What a sweep tries: every combination once, or so many drawn; wrong values are said before any training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.errors import RequestError
from lastword.experiments.grid import Range, changes, label, points, read_grid

Refused = Callable[..., str]


def test_strings_and_lists_are_the_same() -> None:
    strings = {
        "temperature": "0.05, 0.1", "rank": "4,8", "dtype": "none,float32", "projections": "q+v,q+v+o",
        "schedule": "linear",
    }  # fmt: skip
    lists = {
        "temperature": [0.05, 0.1], "rank": [4, 8], "dtype": ["none", "float32"],
        "projections": [["q", "v"], ["q", "v", "o"]], "schedule": "linear",
    }  # fmt: skip
    assert read_grid(strings) == read_grid(lists)
    assert read_grid(strings)["dtype"] == (None, "float32")
    assert read_grid({"rank": 4}) == {"rank": (4,)}


def test_every_combination_comes_once() -> None:
    grid = read_grid({"temperature": "0.05,0.1,0.2", "rank": "4,8", "steps": "7"})
    tried = points(grid, None)
    expected = [{"temperature": t, "rank": r, "steps": 7} for t in (0.05, 0.1, 0.2) for r in (4, 8)]
    assert tried == expected
    assert [label(point, grid) for point in tried][:2] == [
        "temperature=0.05 rank=4",
        "temperature=0.05 rank=8",
    ]


@given(trials=st.integers(2, 20), seed=st.integers(0, 9))
def test_draws_are_different_and_within_their_range(trials: int, seed: int) -> None:
    grid = read_grid({"learning_rate": "1e-5..1e-3", "rank": "2..64", "temperature": "0.05,0.1"})
    tried = points(grid, trials, seed)
    assert tried == points(grid, trials, seed)
    assert len(tried) == trials == len({label(point, grid) for point in tried})
    for point in tried:
        assert 0.99e-5 <= point["learning_rate"] <= 1.01e-3
        assert 2 <= point["rank"] <= 64
        assert isinstance(point["rank"], int)
        assert point["temperature"] in (0.05, 0.1)


def test_draws_are_even_in_the_logarithm() -> None:
    grid = read_grid({"learning_rate": "1e-6..1e-2"})
    values = [point["learning_rate"] for point in points(grid, 400)]
    shares = [sum(low <= v < 10 * low for v in values) / 400 for low in (1e-6, 1e-5, 1e-4, 1e-3)]
    assert all(0.17 < share < 0.33 for share in shares), shares


def test_a_draw_from_a_grid_repeats_nothing() -> None:
    grid = read_grid({"temperature": "0.05,0.1,0.2", "rank": "4,8"})
    tried = points(grid, 4)
    assert len({label(point, grid) for point in tried}) == 4
    assert len(points(grid, 100)) == 6
    assert len(points(read_grid({"rank": "2..4"}), 50)) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temprature": "1,2"}, "sweep: unknown setting 'temprature': did you mean 'temperature'? Known: model, pairs"),
        ({"seed": "1,2"}, "sweep: seed is no setting to compare: say how many with --seeds"),
        ({"steps": "1,x"}, "sweep: steps = 'x': it must be int"),
        ({"temperature": "0,1"}, "temperature=0.0: it must be above 0"),
        ({"temperature": [0.1, "hot"]}, "sweep: temperature = 'hot': it must be float"),
        ({"rank": [4, True]}, "sweep: rank = True: it must be int"),
        ({"rank": "4,4"}, "sweep: rank = '4,4': a value stands there twice"),
        ({"rank": "8..4"}, "sweep: rank = '8..4': the first number must be above 0 and below the second"),
        ({"rank": "a..4"}, "sweep: rank = 'a..4': write a range as 1e-5..1e-3"),
        ({"dropout": "0.5..1"}, "dropout=1.0: it must be from 0 to below 1"),
        ({"schedule": "linear,cosin"}, "unknown schedule 'cosin': did you mean 'cosine'?"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(given: dict[str, Any], message: str, refused: Refused) -> None:
    assert refused(RequestError, read_grid, given).startswith(message)


def test_too_little_to_try(refused: Refused) -> None:
    few = "combination of settings: give two values or more, such as --set temperature=0.05,0.1"
    assert refused(RequestError, points, {}, None) == f"sweep: 1 {few}"
    assert refused(RequestError, points, read_grid({"rank": "4,8"}), 1) == f"sweep: 1 {few}"
    assert refused(RequestError, points, read_grid({"rank": "4..8"}), None) == (
        "sweep: rank is a range: say how many values to draw with --trials"
    )
    assert refused(RequestError, points, read_grid({"rank": "4,8"}), 0) == "trials=0: give 1 or more"


def test_a_range_of_whole_numbers_stays_within_itself() -> None:
    import random

    drawn = {Range(2, 5, whole=True).draw(random.Random(seed)) for seed in range(200)}
    assert drawn == {2, 3, 4, 5}


def test_one_setting_at_a_time() -> None:
    """The recipe comes once, however many lists of values hold its own."""
    grid = read_grid({"temperature": "0.05,0.1,0.2", "rank": "4,8", "alpha": "16,32"})
    tried = changes(grid, {"temperature": 0.05, "rank": 16, "alpha": 16.0})
    assert tried == [
        {},
        {"temperature": 0.1},
        {"temperature": 0.2},
        {"rank": 4},
        {"rank": 8},
        {"alpha": 32.0},
    ]
    assert [label(point, grid) for point in tried][:2] == ["recipe", "temperature=0.1"]


def test_one_setting_at_a_time_needs_lists_and_something_new(refused: Refused) -> None:
    own = {"rank": 4, "learning_rate": 1e-3}
    message = refused(RequestError, changes, read_grid({"learning_rate": "1e-5..1e-3"}), own)
    assert message == "sweep: learning_rate is a range: one setting at a time needs a list of its values"
    assert refused(RequestError, changes, read_grid({"rank": "4"}), own) == (
        "sweep: no value differs from the recipe's: give others, such as --set rank=8,32"
    )
