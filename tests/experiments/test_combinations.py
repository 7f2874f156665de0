"""What a sweep tries: every combination once, or a draw of them; invalid values are refused before any run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.errors import RequestError
from lastword.experiments.combinations import Range, combinations, label, read_values, single_changes

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
    assert read_values(strings) == read_values(lists)
    assert read_values(strings)["dtype"] == (None, "float32")
    assert read_values({"rank": 4}) == {"rank": (4,)}


def test_every_combination_comes_once() -> None:
    candidates = read_values({"temperature": "0.05,0.1,0.2", "rank": "4,8", "steps": "7"})
    tried = combinations(candidates, None)
    expected = [{"temperature": t, "rank": r, "steps": 7} for t in (0.05, 0.1, 0.2) for r in (4, 8)]
    assert tried == expected
    assert [label(combination, candidates) for combination in tried][:2] == [
        "temperature=0.05 rank=4",
        "temperature=0.05 rank=8",
    ]


@given(trials=st.integers(2, 20), seed=st.integers(0, 9))
def test_draws_are_different_and_within_their_range(trials: int, seed: int) -> None:
    candidates = read_values({"learning_rate": "1e-5..1e-3", "rank": "2..64", "temperature": "0.05,0.1"})
    tried = combinations(candidates, trials, seed)
    assert tried == combinations(candidates, trials, seed)
    assert len(tried) == trials == len({label(combination, candidates) for combination in tried})
    for combination in tried:
        assert 0.99e-5 <= combination["learning_rate"] <= 1.01e-3
        assert 2 <= combination["rank"] <= 64
        assert isinstance(combination["rank"], int)
        assert combination["temperature"] in (0.05, 0.1)


def test_draws_are_even_in_the_logarithm() -> None:
    candidates = read_values({"learning_rate": "1e-6..1e-2"})
    values = [combination["learning_rate"] for combination in combinations(candidates, 400)]
    shares = [sum(low <= v < 10 * low for v in values) / 400 for low in (1e-6, 1e-5, 1e-4, 1e-3)]
    assert all(0.17 < share < 0.33 for share in shares), shares


def test_a_draw_from_a_grid_repeats_nothing() -> None:
    candidates = read_values({"temperature": "0.05,0.1,0.2", "rank": "4,8"})
    tried = combinations(candidates, 4)
    assert len({label(combination, candidates) for combination in tried}) == 4
    assert len(combinations(candidates, 100)) == 6
    assert len(combinations(read_values({"rank": "2..4"}), 50)) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temprature": "1,2"}, "sweep: unknown setting 'temprature': did you mean 'temperature'? Known: model, pairs"),
        ({"seed": "1,2"}, "sweep: seed is not a setting to compare: pass seeds=N for N runs of each combination"),
        ({"steps": "1,x"}, "sweep: steps = 'x': it must be a whole number"),
        ({"temperature": "0,1"}, "temperature=0.0: it must be from 0.001 to 10"),
        ({"temperature": [0.1, "hot"]}, "sweep: temperature = 'hot': it must be a number"),
        ({"rank": [4, True]}, "sweep: rank = True: it must be a whole number"),
        ({"rank": "4,4"}, "sweep: rank = '4,4': a value is repeated"),
        ({"rank": "8..4"}, "sweep: rank = '8..4': the first number must be above 0 and below the second"),
        ({"rank": "a..4"}, "sweep: rank = 'a..4': write a range as 1e-5..1e-3"),
        ({"dropout": "0.5..1"}, "dropout=1.0: it must be from 0 to 0.99"),
        ({"schedule": "linear,cosin"}, "unknown schedule 'cosin': did you mean 'cosine'?"),
    ],
)  # fmt: skip
def test_invalid_values(values: dict[str, Any], message: str, refused: Refused) -> None:
    assert refused(RequestError, read_values, values).startswith(message)


def test_too_little_to_try(refused: Refused) -> None:
    few = "combination of settings: give two or more values, such as temperature=0.05,0.1"
    assert refused(RequestError, combinations, {}, None) == f"sweep: 1 {few}"
    assert refused(RequestError, combinations, read_values({"rank": "4,8"}), 1) == f"sweep: 1 {few}"
    assert refused(RequestError, combinations, read_values({"rank": "4..8"}), None) == (
        "sweep: rank is a range: pass trials=N to draw N combinations"
    )
    assert refused(RequestError, combinations, read_values({"rank": "4,8"}), 0) == "trials=0: give 1 or more"


def test_a_range_of_whole_numbers_stays_within_itself() -> None:
    import random

    drawn = {Range(2, 5, whole=True).draw(random.Random(seed)) for seed in range(200)}
    assert drawn == {2, 3, 4, 5}


def test_one_setting_at_a_time() -> None:
    """The recipe comes once, although several lists of values have its own value."""
    candidates = read_values({"temperature": "0.05,0.1,0.2", "rank": "4,8", "alpha": "16,32"})
    tried = single_changes(candidates, {"temperature": 0.05, "rank": 16, "alpha": 16.0})
    assert tried == [
        {},
        {"temperature": 0.1},
        {"temperature": 0.2},
        {"rank": 4},
        {"rank": 8},
        {"alpha": 32.0},
    ]
    assert [label(combination, candidates) for combination in tried][:2] == ["recipe", "temperature=0.1"]


def test_one_setting_at_a_time_needs_lists_and_something_new(refused: Refused) -> None:
    recipe = {"rank": 4, "learning_rate": 1e-3}
    message = refused(RequestError, single_changes, read_values({"learning_rate": "1e-5..1e-3"}), recipe)
    assert message == "sweep: learning_rate is a range: one setting at a time needs a list of values"
    assert refused(RequestError, single_changes, read_values({"rank": "4"}), recipe) == (
        "sweep: no value differs from the recipe's: give others, such as rank=8,32"
    )
