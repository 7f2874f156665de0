"""The training loop: steps, checkpoints, resume. What a step means comes from the files before it."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lastword.config import TrainConfig
from lastword.console import info, progress, warn
from lastword.embedding import Embedder
from lastword.embedding.adapters import load_adapter
from lastword.embedding.memory import release_memory
from lastword.embedding.tokens import Batch, Sequences
from lastword.errors import DivergenceError, WorkError
from lastword.training import adapter, gradcache
from lastword.training.objectives import Objective
from lastword.training.watch import Watch

OPTIMIZER = "optimizer.pt"
T = TypeVar("T")


@dataclass
class Loop:
    """One training of one embedder.

    Attributes:
        embedder: the model, with its adapter in place.
        objective: texts of each step and the loss of their vectors.
        config: the settings.
        folder: where checkpoints and the log go.
        accelerator: device, precision, processes and trackers.
        parameters: the trainable ones.
    """

    embedder: Embedder
    objective: Objective
    config: TrainConfig
    folder: Path
    accelerator: Accelerator
    parameters: list[nn.Parameter]
    memory: gradcache.StepMemory = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    batch_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        """Make the optimizer; peft keeps adapter weights in float32, so no scaler is needed."""
        config = self.config
        self.memory = gradcache.StepMemory(config.graph_gib * 2**30)
        self.batch_tokens = config.batch_tokens
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def run(self, watch: Watch) -> list[tuple[int, Path]]:
        """Train from the latest checkpoint, or from the beginning, as long as the score rises.

        Returns:
            All checkpoints, (step, folder).
        """
        done = self._resume()
        self._score(watch, done)  # where the run was killed between a checkpoint and its score
        keep = set(checkpoint_steps(self.config.steps))
        self.embedder.backbone.model.train()
        with progress("training", self.config.steps) as advance, (self.folder / "log.jsonl").open("a") as log:
            advance(done)
            for step in range(done, self.config.steps):
                if watch.flat:
                    break
                started = time.perf_counter()
                facts = self.step(step)
                facts["seconds"] = round(time.perf_counter() - started, 3)
                self.accelerator.log({key: facts[key] for key in ("loss", "grad_norm", "lr")}, step=step + 1)
                if self.accelerator.is_main_process:
                    print(json.dumps(facts), file=log, flush=True)
                    if step + 1 in keep:
                        self._save(step + 1)
                if step + 1 in keep:
                    self._score(watch, step + 1)
                release_memory()
                advance(1)
        self.embedder.backbone.model.eval()
        return self.checkpoints()

    def _score(self, watch: Watch, step: int) -> None:
        """Score the model after a step; all processes go by the first one's score, so that they stop together."""
        if step in watch.scores or (measured := watch.measure()) is None:
            return
        if self.accelerator.num_processes > 1:
            mine = torch.tensor([measured], dtype=torch.float64, device=self.accelerator.device)
            score, band = self.accelerator.gather(mine)[0].tolist()
            measured = score, band
        watch.scores[step] = measured
        if self.accelerator.is_main_process:
            watch.save(self.folder)

    def step(self, step: int) -> dict[str, Any]:
        """One optimizer step."""
        loss = self.within_memory(lambda: self.gradients(step))
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm))
        if step == 0 and norm == 0:
            raise WorkError("the first step gave no gradient: no adapter is connected to the pooled vectors")
        factor = learning_rate_factor(step, self.config.steps, self.config.warmup_steps, self.config.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"step": step + 1, "loss": loss, "grad_norm": norm, "lr": self.config.learning_rate * factor}

    def within_memory(self, work: Callable[[], T]) -> T:
        """Do the work; if memory runs out, halve the token budget, once, and do it again."""
        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error) or self.batch_tokens < self.config.batch_tokens:
                raise
        self.batch_tokens = max(1, self.batch_tokens // 2)
        self.memory.limit_bytes = 0
        warn(f"out of memory: going on with batch_tokens={self.batch_tokens} and GradCache")
        self.optimizer.zero_grad(set_to_none=True)
        return work()

    def gradients(self, step: int) -> float:
        """Add the gradients of one step to the adapter, summed over processes; return the loss."""
        planned = self.objective.step(step)
        texts = planned.texts[self.accelerator.process_index :: self.accelerator.num_processes]
        parts = self.parts(texts)
        seed = self.config.seed * 1_000_003 + step + 7919 * self.accelerator.process_index
        loss, vectors = gradcache.backward(
            self.embed, parts, self._across_processes(planned.loss_of), seed, self.memory
        )
        if not math.isfinite(loss):
            self._diverged(step, loss, texts, vectors)
        for parameter in self.parameters:
            if self.accelerator.num_processes > 1 and parameter.grad is not None:
                parameter.grad = self.accelerator.reduce(parameter.grad, "sum")
        return loss

    def embed(self, part: Batch) -> Tensor:
        """Vectors of a part of a batch, with a graph where one is asked for."""
        with self.accelerator.autocast():
            return self.embedder.pooled(part)[self.embedder.pooling.spec]

    def parts(self, texts: Sequence[str]) -> list[Batch]:
        """The texts as padded batches within the token budget."""
        sequences: Sequences = self.embedder.tokenize(texts)
        return list(self.embedder.batches(sequences, self.batch_tokens))

    def _across_processes(self, loss_of: gradcache.LossOf) -> gradcache.LossOf:
        """The loss over the vectors of all processes, differentiated with respect to this one's."""
        world, here = self.accelerator.num_processes, self.accelerator.process_index
        if world == 1:
            return loss_of

        def gathered(vectors: Tensor) -> Tensor:
            widths = self.accelerator.gather(torch.tensor([len(vectors)], device=vectors.device)).tolist()
            padded = nn.functional.pad(vectors.detach(), (0, 0, 0, max(widths) - len(vectors)))
            others = self.accelerator.gather(padded).view(world, max(widths), -1)
            shares = [others[i, :width] for i, width in enumerate(widths)]
            shares[here] = vectors
            rows = torch.cat([torch.arange(i, sum(widths), world) for i in range(world)])
            return loss_of(torch.cat(shares)[rows.argsort().to(vectors.device)])

        return gathered

    def _diverged(self, step: int, loss: float, texts: Sequence[str], vectors: Tensor) -> None:
        bad = [texts[i] for i in (~vectors.isfinite().all(1)).nonzero().flatten().tolist()]
        shown = "; ".join(repr(text[:60]) for text in (bad or texts)[:3])
        what = (
            f"{len(bad)} texts gave no finite vector" if bad else "all vectors are finite; texts of the step"
        )
        raise DivergenceError(
            f"loss is {loss} at step {step + 1} ({what}: {shown}): "
            "lower learning_rate or use dtype float32; checkpoints so far are kept"
        )

    def losses(self) -> list[float]:
        """Loss of every step, those before a resume included."""
        return [json.loads(line)["loss"] for line in (self.folder / "log.jsonl").read_text().splitlines()]

    # Checkpoints: adapters of all kept steps, the optimizer of the latest only.

    def checkpoints(self) -> list[tuple[int, Path]]:
        """(step, folder) of every complete checkpoint, in order."""
        return [
            (int(path.name.split("-")[1]), path)
            for path in sorted(self.folder.glob("step-*"))
            if path.is_dir()
        ]

    def _save(self, step: int) -> None:
        folder = self.folder / f"step-{step:06d}"
        partial = self.folder / f".step-{step:06d}.partial"
        adapter.save_adapter(self.embedder.backbone.model, partial, self.config)
        buffer = io.BytesIO()  # torch's own writing to a full disk ends in an error that does not say so
        torch.save(self.optimizer.state_dict(), buffer)
        (partial / OPTIMIZER).write_bytes(buffer.getbuffer())
        partial.replace(folder)
        for _, older in self.checkpoints()[:-1]:
            (older / OPTIMIZER).unlink(missing_ok=True)

    def _resume(self) -> int:
        with_optimizer = [(step, path) for step, path in self.checkpoints() if (path / OPTIMIZER).exists()]
        if not with_optimizer:
            _keep_log_lines(self.folder / "log.jsonl", 0)
            return 0
        step, path = with_optimizer[-1]
        load_adapter(self.embedder.backbone.model, path)
        device = self.embedder.backbone.device
        self.optimizer.load_state_dict(torch.load(path / OPTIMIZER, map_location=device, weights_only=True))
        _keep_log_lines(self.folder / "log.jsonl", step)
        info(f"resuming after step {step}")
        return step


def _keep_log_lines(path: Path, last: int) -> None:
    """Drop the lines of steps that are about to be done again."""
    if path.exists():
        lines = [
            line
            for line in path.read_text().splitlines()
            if line.endswith("}") and json.loads(line)["step"] <= last
        ]
        path.write_text("".join(f"{line}\n" for line in lines))


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def checkpoint_steps(steps: int) -> list[int]:
    """Steps after which a checkpoint is kept: dense at first, where a few steps change much; the last always.

    >>> checkpoint_steps(160)
    [10, 20, 40, 60, 100, 150, 160]
    """
    dense = [10, 20, 40, 60, 100, 150, 200, 300, 400, 500, 750]
    sparse = range(1000, steps + 1, 500)
    return sorted({step for step in (*dense, *sparse) if step < steps} | {steps})


def learning_rate_factor(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """Share of the peak learning rate at a step, counted from 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    if schedule == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + float(np.cos(np.pi * progress))) if schedule == "cosine" else 1.0
