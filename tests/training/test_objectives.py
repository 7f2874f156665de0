from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastword.training.checkpoints import checkpoint_steps
from lastword.training.loop import learning_rate_factor
from lastword.training.objectives import step_rows


@given(n=st.integers(2, 200), batch=st.integers(2, 64), seed=st.integers(0, 5))
def test_an_epoch_shows_every_pair_at_most_once(n: int, batch: int, seed: int) -> None:
    steps = n // min(batch, n)
    rows = [row for step in range(steps) for row in step_rows(n, batch, step, seed)]
    assert len(rows) == len(set(rows)) == steps * min(batch, n)
    assert set(rows) <= set(range(n))


def test_epochs_and_seeds_differ() -> None:
    first = step_rows(100, 100, 0, seed=0)
    assert first == step_rows(100, 100, 0, seed=0)
    assert first != step_rows(100, 100, 1, seed=0)
    assert first != step_rows(100, 100, 0, seed=1)


def test_checkpoints_are_dense_at_first_and_end_with_the_last_step() -> None:
    assert checkpoint_steps(5) == [5]
    assert checkpoint_steps(60) == [10, 20, 40, 60]
    assert checkpoint_steps(2200) == [
        10,
        20,
        40,
        60,
        100,
        150,
        200,
        300,
        400,
        500,
        750,
        1000,
        1500,
        2000,
        2200,
    ]


def test_learning_rate_rises_then_follows_its_schedule() -> None:
    assert learning_rate_factor(0, 100, 10, "linear") < learning_rate_factor(9, 100, 10, "linear") < 1
    assert learning_rate_factor(10, 100, 10, "linear") == 1
    assert 0 < learning_rate_factor(99, 100, 10, "linear") < 0.02
    assert learning_rate_factor(99, 100, 10, "constant") == 1
    assert 0 < learning_rate_factor(99, 100, 10, "cosine") < 0.01
