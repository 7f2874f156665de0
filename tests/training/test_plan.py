"""The forecast of a run: what it adds up, and what a run then does."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from lastword.embedding import Embedder
from lastword.embedding.forward.fused.decoder import layer_output
from lastword.errors import DivergenceError
from lastword.training import LastStep, train
from lastword.training.plan import TokenSeconds, token_seconds
from lastword.uncertainty import Score
from tests.training.conftest import made_score


def test_a_step_has_a_forward_pass_more_where_activations_are_not_stored() -> None:
    seconds = TokenSeconds(forward=0.3, both=1.0)
    assert seconds.of_step(1000, stored_share=1.0) == pytest.approx(1000)
    assert seconds.of_step(1000, stored_share=0.0) == pytest.approx(1300)
    assert seconds.of_step(1000, stored_share=0.5) == pytest.approx(1150)


def test_lower_layers_add_what_is_not_kept() -> None:
    seconds = TokenSeconds(forward=0.3, both=1.0, lower=2.0)
    assert seconds.of_step(10, 1.0, lower_share=0.0) == pytest.approx(10)
    assert seconds.of_step(10, 1.0, lower_share=0.25) == pytest.approx(15)
    assert seconds.of_step(10, 0.0, lower_share=1.0) == pytest.approx(33)


def test_the_layers_below_are_timed_though_their_states_are_there(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[TokenSeconds] = []

    def slow(*args: Any) -> Any:
        time.sleep(0.05)
        return layer_output(*args)

    def noted(*args: Any) -> TokenSeconds:
        timed.append(token_seconds(*args))
        return timed[-1]

    monkeypatch.setattr("lastword.embedding.forward.fused.decoder.layer_output", slow)
    monkeypatch.setattr("lastword.training.plan.token_seconds", noted)
    # Of two layers the upper one is adapted; last-token pooling computes it without `layer_output`.
    result = train(tmp_path / "out", scorer=LastStep(), adapt_layers=1, **{**settings, "steps": 1})
    assert timed[0].lower * result.plan.tokens_per_step >= 0.05
    assert result.plan.lower_share == 1.0
    assert result.plan.seconds >= 0.05


class SlowScorer:
    criterion = "slow"
    inputs: dict[str, str] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, embedder: Embedder) -> Score:
        time.sleep(0.5)
        self.calls += 1
        return made_score(0.1 * self.calls, 0.01)


def test_scoring_of_the_checkpoints_is_in_the_forecast(tmp_path: Path, settings: dict[str, Any]) -> None:
    slow = train(tmp_path / "slow", scorer=SlowScorer(), **settings)
    quick = train(tmp_path / "quick", scorer=LastStep(), **settings)
    assert slow.selection.scores.keys() == {0, 10, 12}, "two scores after the forecast"
    assert 1.0 <= slow.plan.seconds <= 1.0 + max(1.0, 5 * quick.plan.seconds)


def test_a_resumed_run_forecasts_the_steps_that_are_left(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> TokenSeconds:
        return TokenSeconds(0.0, 1.0)

    monkeypatch.setattr("lastword.training.plan.token_seconds", measured)
    whole = train(tmp_path / "whole", scorer=LastStep(), **settings)
    assert whole.plan.seconds == pytest.approx(12 * whole.plan.tokens_per_step, rel=0.01)
    broken = {**settings, "steps": 12, "learning_rate": 1e-2}
    out = tmp_path / "out"

    class Stops(SlowScorer):
        def __call__(self, embedder: Embedder) -> Score:
            if self.calls == 1:
                raise DivergenceError("stopped")
            return super().__call__(embedder)

    with pytest.raises(DivergenceError, match="stopped"):
        train(out, scorer=Stops(), **broken)
    assert (tmp_path / "out.partial" / "checkpoints" / "step-000010").is_dir()
    resumed = train(out, scorer=SlowScorer(), resume=True, **broken)
    assert resumed.plan.seconds == pytest.approx(2 * resumed.plan.tokens_per_step, rel=0.01)
    shutil.rmtree(out)


@pytest.mark.parametrize("graph_gib", [None, 0.5])
def test_the_memory_for_activations_is_given_or_half_of_what_is_free(
    tmp_path: Path,
    settings: dict[str, Any],
    graph_gib: float | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("lastword.training.loop.free_bytes", lambda device: 6 * 2**30)
    caplog.set_level("INFO", "lastword")
    result = train(tmp_path / "out", scorer=LastStep(), graph_gib=graph_gib, **{**settings, "steps": 1})
    assert result.plan.graph_gib == (graph_gib or 3.0)
    assert f"activations stored, at most {graph_gib or 3.0} GiB" in caplog.text
