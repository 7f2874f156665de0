"""The loop on its own: what a step reports, what a run writes, and what happens when memory runs out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lastword.embedding import Embedder
from lastword.errors import DivergenceError
from lastword.training import LastStep, train
from lastword.training import loop as loops
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


def test_the_largest_seed_is_no_problem(load: Load, tmp_path: Path) -> None:
    loop = loop_of(load, tmp_path, seed=2**32 - 1, dropout=0.3)
    assert loop.step(0)["loss"] > 0


def test_a_run_writes_a_line_for_each_step_and_scores_its_checkpoints(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    @contextmanager
    def progress(work: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
        assert (work, total) == ("training", 11)
        shown.append(done)
        yield shown.append

    monkeypatch.setattr("lastword.training.loop.progress", progress)
    loop = loop_of(load, tmp_path, steps=11, learning_rate=1e-2, warmup_steps=0)
    embedder = load(template="ccw", pooling="lasttoken", max_tokens=64)
    embedder.pipeline.backbone.model = loop.pipeline.backbone.model
    scores = CheckpointScores(AdapterSize(0), None, tmp_path / "scores.json")
    loop.run(scores, embedder)
    assert shown == [0] + [1] * 11
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
    assert shown[12:] == [11]


def test_a_run_that_stops_early_leaves_a_model_without_dropout(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = loop_of(load, tmp_path, steps=11)
    monkeypatch.setattr(CheckpointScores, "stalled", True)
    loop.run(CheckpointScores(LastStep(), 1, tmp_path / "scores.json"), load())
    assert loop.checkpoints.log.read_text() == ""
    assert not loop.pipeline.backbone.model.training


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


class TwoProcesses:
    """The second of two processes, which have the same texts, so that what one has stands for what both have."""

    num_processes, process_index = 2, 1

    def __init__(self) -> None:
        self.reductions: list[str] = []

    def autocast(self) -> AbstractContextManager[None]:
        return nullcontext()

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor, tensor])

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        self.reductions.append(reduction)
        return 2 * tensor


def test_each_process_has_the_loss_of_all_texts_and_the_sum_of_the_gradients(
    load: Load, tmp_path: Path
) -> None:
    gradients, processes, seen = [], TwoProcesses(), list[torch.Tensor]()
    weights = torch.tensor([[1.0], [1.0], [3.0], [3.0]])

    class Sum(Flat):
        def loss_of(self, vectors: torch.Tensor) -> torch.Tensor:
            seen.append(vectors.detach().clone())
            return (vectors * weights).sum()

    for accelerator in (None, processes):
        loop = loop_of(load, tmp_path)
        loop.objective = Sum(("a car", "a car", "the river", "the river"))
        if accelerator is not None:
            loop.accelerator = accelerator  # type: ignore[assignment]
        loss = loop._add_gradients(0)
        gradients.append([parameter.grad for parameter in loop.parameters])
        assert loss == pytest.approx(float((seen[-1] * weights).sum()))
    assert all(torch.allclose(vectors, seen[0], atol=1e-6) for vectors in seen)
    assert set(processes.reductions) == {"sum"}
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)  # rounding differs between processors
    assert max(float(gradient.abs().max()) for gradient in gradients[0]) > 1e-3


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_vectors_of_all_processes_are_in_the_order_of_the_texts(
    rank: int, load: Load, tmp_path: Path
) -> None:
    texts = torch.arange(14.0).view(7, 2)
    shares = [texts[i::3] for i in range(3)]  # of 3, 2 and 2 texts

    def gather(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() == 1:
            return torch.tensor([3, 2, 2])
        padded = [torch.cat([share, torch.zeros(3 - len(share), 2)]) for share in shares]
        assert torch.equal(tensor, padded[rank])
        return torch.cat(padded)

    loop = loop_of(load, tmp_path)
    loop.accelerator = SimpleNamespace(num_processes=3, process_index=rank, gather=gather)  # type: ignore[assignment]
    own = shares[rank].clone().requires_grad_()
    gathered = loop._over_all_processes(lambda vectors: vectors)(own)
    assert torch.equal(gathered, texts)
    gathered.sum().backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    assert torch.equal(own.grad, torch.ones_like(own))


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_killed_run_loses(
    kept: bool, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute without a checkpoint only the step that it was in, and the end is the same to the last bit."""
    train(tmp_path / "whole", **settings)
    monkeypatch.setattr(loops, "_KEEP_S", 0.0 if kept else 60.0)
    step, done = loops.Loop.step, list[int]()

    def killed(self: loops.Loop, number: int) -> dict[str, Any]:
        done.append(number)
        if len(done) in (7, 9):
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(loops.Loop, "step", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "out", resume=True, **settings)
    train(tmp_path / "out", resume=True, **settings)
    assert done == ([*range(7), 6, 7, *range(7, 12)] if kept else [*range(7), 0, 1, *range(12)])
    whole, out = (
        [path.relative_to(folder) for path in sorted(folder.rglob("*.safetensors"))]
        for folder in (tmp_path / "whole", tmp_path / "out")
    )
    assert whole == out
    assert all(
        (tmp_path / "whole" / path).read_bytes() == (tmp_path / "out" / path).read_bytes() for path in out
    )
    assert not list((tmp_path / "out").rglob("latest-*"))
