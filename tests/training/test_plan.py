"""The forecast of a run: what it adds up, and what a run then does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lastword.console import duration
from lastword.embedding import Embedder
from lastword.embedding.backbone import Backbone
from lastword.embedding.forward.fused.decoder import layer_output
from lastword.errors import DivergenceError
from lastword.training import LastStep, train
from lastword.training.plan import Plan, TokenSeconds, _seconds, step_work, token_seconds
from lastword.uncertainty import Score
from tests.training.conftest import made_score
from tests.training.test_wiring import Flat, loop_of

Load = Callable[..., Embedder]


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


def test_the_forecast_is_logged_in_three_lines(caplog: pytest.LogCaptureFixture) -> None:
    plan = Plan(
        trainable=1000, frozen=9000, pairs=1234, negatives_per_anchor=63, max_tokens=64, truncated_share=0.125,
        tokens_per_step=4096, stored_share=1.0, graph_gib=3.0, lower_share=0.0, seconds=65,
    )  # fmt: skip
    caplog.set_level("INFO", "lastword")
    plan.log()
    replace(plan, stored_share=0.25).log()
    said = caplog.messages
    first, second, third = said[:3]
    assert first == said[3] == "training 1,000 adapter weights (10.0% of the model) on 1,234 pairs"
    assert second == "63 negatives per anchor; 4,096 tokens per step; activations stored, at most 3.0 GiB"
    assert said[4].endswith("; GradCache: 75% of the activations computed twice, the others in 3.0 GiB")
    assert (
        third
        == said[5]
        == f"12.5% of the texts are truncated to 64 tokens (max_tokens); about {duration(65)} of training"
    )


def test_the_work_of_a_step_is_the_mean_of_the_first_ones(load: Load, tmp_path: Path) -> None:
    loop = loop_of(load, tmp_path, steps=3)
    texts = ("a car", "the river", "a house " * 100, "a cat")
    loop.objective = Flat(texts, negatives=5)
    work = step_work(loop)
    assert (work.texts, work.negatives, work.truncated_share) == (4, 5, 0.25)
    assert work.tokens == sum(map(len, loop.pipeline.tokenize(texts).ids))
    assert sum(part.tokens for part in work.parts) == work.tokens


def test_the_parts_of_the_time_of_a_token(load: Load, tmp_path: Path) -> None:
    loop = loop_of(load, tmp_path)
    parts = loop.parts(["a car", "the river"])
    tokens = sum(part.tokens for part in parts)
    assert token_seconds(loop, parts).lower == 0
    path = SimpleNamespace(lower=lambda part, layer: time.sleep(0.3 if layer == 1 else 0))
    loop.lower = SimpleNamespace(path=path, layer=1)  # type: ignore[assignment]
    seconds = token_seconds(loop, parts)
    assert seconds.lower * tokens >= 0.3
    assert 0 < seconds.forward * tokens < 0.3
    assert 0 < seconds.both * tokens < 0.3
    assert all(parameter.grad is None for parameter in loop.parameters)


@pytest.mark.parametrize(("device", "waits"), [("cuda", 1), ("cpu", 0)])
def test_work_on_a_gpu_is_waited_for(
    device: str, waits: int, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, calls = loop_of(load, tmp_path), []
    monkeypatch.setattr(Backbone, "device", torch.device(device))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("synchronize"))
    _seconds(loop, lambda: calls.append("work"))
    assert calls == ["work"] + ["synchronize"] * waits
