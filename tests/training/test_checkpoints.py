"""The folder of checkpoints: what is written, and what a resumed run finds."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.training.adapter import adapter_weights, add_adapter, save_adapter
from lastword.training.checkpoints import Checkpoints, checkpoint_steps

CONFIG = train_config({"rank": 2, "alpha": 4.0})


@pytest.fixture
def model(load: Callable[..., Embedder]) -> nn.Module:
    model: nn.Module = load().backbone.model
    add_adapter(model, CONFIG)
    return model


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)


def _train(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return adapter_weights(model)


def test_the_latest_checkpoint_is_loaded_with_its_optimizer(tmp_path: Path, model: nn.Module) -> None:
    checkpoints, optimizer = Checkpoints(tmp_path), _optimizer(model)
    weights = {}
    for step in (10, 15, 20):
        weights[step] = _train(model, optimizer)
        checkpoints.save(step, model, optimizer, CONFIG)
    assert checkpoints.all() == [(step, tmp_path / f"step-{step:06d}") for step in (10, 15, 20)]
    assert [(path / "optimizer.pt").exists() for _, path in checkpoints.all()] == [False, False, True]
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"
    _train(model, optimizer)
    (tmp_path / "step-000030").mkdir()  # one that was killed before its optimizer was written
    checkpoints.log.write_text(
        "".join(json.dumps({"step": step, "loss": step / 10}) + "\n" for step in range(1, 23))
    )
    with checkpoints.log.open("a") as log:
        log.write('{"step": 5, "lo')
    again = _optimizer(model)
    assert checkpoints.resume(model, again) == 20
    assert all(torch.equal(weight, weights[20][name]) for name, weight in adapter_weights(model).items())
    assert again.state_dict()["state"][0]["step"] == 3
    assert checkpoints.losses() == [step / 10 for step in range(1, 21)]


def test_what_is_kept_between_checkpoints(tmp_path: Path, model: nn.Module) -> None:
    """A run resumes from it; it is no checkpoint, and the next checkpoint replaces it."""
    checkpoints, optimizer = Checkpoints(tmp_path), _optimizer(model)
    assert checkpoints.latest() == (0, None)
    checkpoints.save(10, model, optimizer, CONFIG)
    for step in (13, 16):
        weights = _train(model, optimizer)
        checkpoints.keep(step, model, optimizer, CONFIG)
    assert checkpoints.all() == [(10, tmp_path / "step-000010")]
    assert checkpoints.latest() == (16, tmp_path / "latest-000016")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest-000016", "step-000010"]
    _train(model, optimizer)
    assert checkpoints.resume(model, _optimizer(model)) == 16
    assert all(torch.equal(weight, weights[name]) for name, weight in adapter_weights(model).items())
    checkpoints.save(20, model, optimizer, CONFIG)
    assert checkpoints.latest() == (20, tmp_path / "step-000020")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000010", "step-000020"]


def test_an_optimizer_that_is_code_is_not_run(tmp_path: Path, model: nn.Module) -> None:
    (tmp_path / "step-000010").mkdir()
    save_adapter(model, tmp_path / "step-000010", CONFIG)
    torch.save({"state": {}, "param_groups": tmp_path}, tmp_path / "step-000010" / "optimizer.pt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        Checkpoints(tmp_path).resume(model, _optimizer(model))


def test_a_run_without_a_checkpoint_begins_with_an_empty_log(tmp_path: Path, model: nn.Module) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.resume(model, _optimizer(model)) == 0
    assert not checkpoints.log.exists()
    checkpoints.log.write_text('{"step": 1, "loss": 0.5}\n')
    assert checkpoints.resume(model, _optimizer(model)) == 0
    assert checkpoints.losses() == []


@pytest.mark.parametrize(
    ("steps", "last"),
    [(1, [1]), (10, [10]), (11, [10, 11]), (1000, [750, 1000]), (1001, [1000, 1001]), (1600, [1500, 1600])],
)
def test_the_last_step_is_always_saved_once(steps: int, last: list[int]) -> None:
    assert checkpoint_steps(steps)[-2:] == last


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
