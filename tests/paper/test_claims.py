"""A claim holds or is reversed where the paired interval excludes zero, and is counted once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lastword.paper.cells import Cell
from lastword.paper.claims import HOLDS, NOT_MEASURED, ONE_SIZE, OPEN, REVERSED, Verdict, count, judge
from lastword.paper.tables import Claim, read_table
from lastword.uncertainty import HALVES, Score, compare


def score(value: float, spread: float = 0.01, seed: int = 0, shift: float = 0.0) -> Score:
    """A score whose replicates are those of the others with this seed, moved by the value (and a little more)."""
    rng = np.random.default_rng(seed)
    draws = value + spread * rng.standard_normal(10)
    resamples = value + spread * rng.standard_normal((HALVES, 2)) + shift * rng.standard_normal((HALVES, 1))
    return Score(
        "v_measure", value, tuple(draws), tuple(map(tuple, resamples)), 100, "texts", chance=0.05, ami=value
    )


def cell(value: float, **how: float) -> Cell:
    return Cell(({"a": score(value, **how), "b": score(value + 0.1, **how)},))


def test_claims_of_a_table() -> None:
    table = read_table("table3")
    ours = {("none", "mean"): cell(0.20), ("none", "last"): cell(0.25)}
    first, second = judge(table, {"model": ours})
    assert first.word == REVERSED
    difference = first.differences["model"]
    assert difference == compare(ours["none", "mean"].scores, ours["none", "last"].scores)
    assert difference.value == pytest.approx(-0.05)
    assert first.published == {"Llama-3.2-1B": 12.6, "Qwen3-0.6B": 10.9}
    assert (second.word, second.differences) == (NOT_MEASURED, {}), "no cell for eos"
    (first, _) = judge(table, {"model": {("none", "mean"): cell(0.30), ("none", "last"): cell(0.25)}})
    assert first.word == HOLDS
    near = {("none", "mean"): cell(0.251, shift=0.05), ("none", "last"): cell(0.25)}
    assert judge(table, {"model": near})[0].word == OPEN


def test_every_model_is_judged_alone_but_for_claims_about_all_sizes() -> None:
    better, worse = {("CCW", "last"): cell(0.30), ("none", "last"): cell(0.25)}, cell(0.25)
    table = read_table("table5")
    (verdict,) = judge(table, {"one": better})
    assert verdict.word == ONE_SIZE == "not measured: needs several sizes"
    (verdict,) = judge(table, {"one": better, "two": better})
    assert verdict.word == HOLDS
    assert list(verdict.differences) == ["one", "two"]
    (verdict,) = judge(table, {"one": better, "two": {("CCW", "last"): worse, ("none", "last"): worse}})
    assert verdict.word == OPEN
    (verdict,) = judge(table, {"one": better, "two": {("CCW", "last"): worse, ("none", "last"): cell(0.3)}})
    assert verdict.word == REVERSED
    assert len(judge(read_table("table3"), {"one": better, "two": better})) == 4


def test_a_repeated_claim_is_counted_once() -> None:
    claim = Claim("a is above b", ("a", "last"), ("b", "last"))
    first = Verdict(claim, {}, {}, HOLDS)
    again = dataclasses.replace(first, repeats="table4")
    assert count([first, again, dataclasses.replace(first, word=ONE_SIZE)]) == {
        HOLDS: 1, REVERSED: 0, OPEN: 0, NOT_MEASURED: 1,
    }  # fmt: skip


def test_a_cell_is_the_mean_over_tasks_and_seeds() -> None:
    runs = tuple(
        {"a": score(a, seed=seed), "b": score(b, seed=seed)}
        for seed, (a, b) in enumerate([(0.2, 0.4), (0.3, 0.5)])
    )
    found = Cell(runs)
    assert found.summary.value == pytest.approx(0.35)
    assert found.summary.seeds == 2
    assert {name: summary.value for name, summary in found.tasks.items()} == pytest.approx(
        {"a": 0.25, "b": 0.45}
    )
    assert found.only(["b", "c"]).summary.value == pytest.approx(0.45)
