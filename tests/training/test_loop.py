"""The loop on its own: what a step reports, what a run writes, and what happens when memory runs out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lastword.embedding import Embedder
from lastword.errors import DivergenceError
from lastword.training import LastStep
from lastword.training.selection import CheckpointScores
from tests.training.test_selection import AdapterSize
from tests.training.test_wiring import Flat, loop_of

Load = Callable[..., Embedder]


def test_settings_decide_memory_and_batches(load: Load, tmp_path: Path) -> None:
    loop = loop_of(load, tmp_path, graph_gib=0.5, batch_tokens=300)
    assert loop.memory.limit_bytes == 2**29
    assert loop.batch_tokens == 300
    assert loop_of(load, tmp_path).memory.limit_bytes > 2**20, "a share of what is free"
    assert [len(part.rows) for part in loop_of(load, tmp_path, batch_tokens=1).parts(["a", "a car"])] == [
        1,
        1,
    ]


def test_a_step_reports_its_number_loss_gradient_and_rate(load: Load, tmp_path: Path) -> None:
    loop = loop_of(load, tmp_path, learning_rate=1e-3, warmup_steps=0, steps=4, schedule="constant")
    facts = loop.step(1)
    assert facts.keys() == {"step", "loss", "grad_norm", "lr"}
    assert (facts["step"], facts["lr"]) == (2, 1e-3)
    assert facts["loss"] > 0
    assert facts["grad_norm"] > 0


def test_a_run_writes_a_line_for_each_step_and_scores_its_checkpoints(load: Load, tmp_path: Path) -> None:
    loop = loop_of(load, tmp_path, steps=11, learning_rate=1e-2, warmup_steps=0)
    embedder = load(template="ccw", pooling="lasttoken", max_tokens=64)
    embedder.pipeline.backbone.model = loop.pipeline.backbone.model
    scores = CheckpointScores(AdapterSize(0), None, tmp_path / "scores.json")
    loop.run(scores, embedder)
    log = [json.loads(line) for line in loop.checkpoints.log.read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 12))
    assert all(line.keys() == {"step", "loss", "grad_norm", "lr", "seconds"} for line in log)
    assert [step for step, _ in loop.checkpoints.all()] == list(scores.by_step)[1:] == [10, 11]
    assert list(scores.by_step) == [0, 10, 11]
    assert scores.by_step[0].value == 0 < scores.by_step[10].value
    assert not loop.pipeline.backbone.model.training
    assert (tmp_path / "scores.json").exists()
    again = CheckpointScores(LastStep(), None, tmp_path / "none.json")
    loop.run(again, embedder)
    assert len(loop.checkpoints.log.read_text().splitlines()) == 11, "all steps were done"
    assert again.by_step == {}


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("can't allocate memory: 3 GB")]
)
def test_work_is_repeated_in_smaller_parts_once(
    load: Load, tmp_path: Path, error: Exception, said: list[str]
) -> None:
    loop, calls = loop_of(load, tmp_path, batch_tokens=301), []

    def work() -> int:
        calls.append((loop.batch_tokens, loop.memory.limit_bytes))
        if len(calls) % 2:
            raise error
        return 7

    before = loop.memory.limit_bytes
    assert loop.within_memory(work) == 7
    assert calls == [(301, before), (150, 0)]
    assert said == ["out of memory: continuing with batch_tokens=150 and GradCache"]
    with pytest.raises(type(error)):
        loop.within_memory(work)
    assert len(calls) == 3


def test_other_errors_are_raised_at_once(load: Load, tmp_path: Path) -> None:
    loop, calls = loop_of(load, tmp_path), []

    def work() -> None:
        calls.append(loop.batch_tokens)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        loop.within_memory(work)
    assert calls == [loop.config.batch_tokens] == [loop.batch_tokens]


class NoNumber(Flat):
    """A step whose loss is not a number."""

    def loss_of(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors.sum() * math.nan


def test_a_loss_that_is_no_number_is_shown_with_texts_of_the_step(
    load: Load, tmp_path: Path, refused: Callable[..., str]
) -> None:
    loop = loop_of(load, tmp_path)
    loop.objective = NoNumber(("a car " * 20, "the river", "a house", "a cat"))
    message = refused(DivergenceError, loop.step, 2)
    assert message == (
        f"loss is nan at step 3 (all vectors are finite; texts of the step: {'a car ' * 10!r}; 'the river'; "
        "'a house'): "
        "lower learning_rate or use dtype float32; the checkpoints so far are kept"
    )
