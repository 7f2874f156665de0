"""The training loop: steps, checkpoints, early stop. It knows no loss: texts and loss come from an `Objective`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from lastword.config import TrainConfig
from lastword.console import progress, warn
from lastword.embedding import Embedder
from lastword.embedding.memory import free_bytes, release_memory
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.tokens import Batch
from lastword.errors import DivergenceError, WorkError
from lastword.files.plain_json import json_text
from lastword.training import gradcache
from lastword.training.checkpoints import Checkpoints, checkpoint_steps
from lastword.training.lower import LowerLayers
from lastword.training.objectives import Objective
from lastword.training.selection import CheckpointScores

_KEEP_S = 60.0  # the most work that a killed run loses, beside the step that it was in
_ADVICE = "lower learning_rate or use dtype float32; the checkpoints so far are kept"
FREE_SHARE = 0.5  # of the free memory, for activations; the backward pass needs more, and other processes too
T = TypeVar("T")


@dataclass
class Loop:
    """One training run, or a stage of it.

    Attributes:
        pipeline: the model, with its adapter in place, as it is trained.
        objective: texts of each step and the loss of their vectors.
        config: the settings.
        folder: folder of checkpoints and log.
        accelerator: device, precision, processes and trackers.
        parameters: the trainable ones.
        stage: what comes before "training" where it is not the training on pairs.
        vectors: what the loss of a step is computed of, a row for each text; None is the vectors of the pipeline.
        lower: computes the states below the adapted layers; None where all layers are adapted, or where the model
            cannot begin in its middle.
    """

    pipeline: Pipeline
    objective: Objective
    config: TrainConfig
    folder: Path
    accelerator: Accelerator
    parameters: list[nn.Parameter]
    lower: LowerLayers | None = None
    stage: str = ""
    vectors: Callable[[Batch], Tensor] | None = None
    checkpoints: Checkpoints = field(init=False)
    memory: gradcache.StepMemory = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    batch_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        """Make the optimizer; peft stores adapter weights in float32, so no gradient scaler is needed."""
        config = self.config
        self.checkpoints = Checkpoints(self.folder)
        gib = config.graph_gib
        free = FREE_SHARE * free_bytes(self.pipeline.backbone.device)
        limit, weights = free if gib is None else gib * 2**30, list(self.pipeline.backbone.model.parameters())
        self.memory = gradcache.StepMemory(limit, weights=weights)
        self.batch_tokens = config.batch_tokens
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def run(self, scores: CheckpointScores, embedder: Embedder) -> None:
        """Train from the latest checkpoint or from the beginning, to the last step or the early stop.

        Args:
            scores: gets the score of the base model and of every checkpoint.
            embedder: the model as it is scored.
        """
        model, saved = self.pipeline.backbone.model, set(checkpoint_steps(self.config.steps))
        first = self.checkpoints.resume(model, self.optimizer)
        self.score(scores, embedder, first)  # a run may have been killed between a checkpoint and its score
        model.train()
        with (
            progress(f"{self.stage}training", self.config.steps, done=first) as advance,
            self.checkpoints.log.open("a") as log,
        ):
            written = time.monotonic()
            for number in range(first, self.config.steps):
                if scores.stalled:
                    break
                facts = self._logged_step(number)
                if self.accelerator.is_main_process:
                    print(json_text(facts), file=log, flush=True)
                if number + 1 in saved:
                    if self.accelerator.is_main_process:
                        self.checkpoints.save(number + 1, model, self.optimizer, self.config)
                    self.score(scores, embedder, number + 1)
                    written = time.monotonic()
                elif time.monotonic() - written > _KEEP_S and self.accelerator.is_main_process:
                    self.checkpoints.keep(number + 1, model, self.optimizer, self.config)
                    written = time.monotonic()
                release_memory()
                advance(1)
        model.eval()

    def score(self, scores: CheckpointScores, embedder: Embedder, step: int) -> None:
        """Score the model after a step; all processes use the score of the first, so that they stop together."""
        if step in scores.by_step:
            return
        first = self.accelerator.is_main_process
        (score,) = broadcast_object_list([scores.measure(embedder) if first else None])
        if score is not None:
            scores.by_step[step] = score
            if first:
                scores.save()

    def step(self, number: int) -> dict[str, Any]:
        """One optimizer step, counted from 0."""
        loss = self.within_memory(lambda: self._add_gradients(number))
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm))
        if not math.isfinite(norm):
            raise DivergenceError(f"the gradient is {norm} at step {number + 1}: {_ADVICE}")
        if number == 0 and norm == 0 and self.objective.step(number).negatives:
            raise WorkError("the first step gave no gradient: no adapter is connected to the pooled vectors")
        rate = self.config.learning_rate * learning_rate_factor(
            number, self.config.steps, self.config.warmup_steps, self.config.schedule
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not nn.utils.get_total_norm(self.parameters).isfinite():
            raise DivergenceError(f"adapter weights are not finite after step {number + 1}: {_ADVICE}")
        return {"step": number + 1, "loss": loss, "grad_norm": norm, "lr": rate}

    def within_memory(self, work: Callable[[], T]) -> T:
        """Do some work; if memory runs out, do it again in smaller parts, once in a run."""
        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error) or self.batch_tokens < self.config.batch_tokens:
                raise
        self.batch_tokens = max(1, self.batch_tokens // 2)
        self.memory.limit_bytes = 0
        if self.lower:
            self.lower.clear()
        warn(f"out of memory: continuing with batch_tokens={self.batch_tokens} and GradCache")
        self.optimizer.zero_grad(set_to_none=True)
        return work()

    def embed(self, part: Batch) -> Tensor:
        """Vectors of a part of a batch, (batch, dim) float32, with a graph where gradients are enabled."""
        with self.accelerator.autocast():
            return (self.vectors or self.pipeline.vectors)(part)

    def parts(self, texts: Sequence[str]) -> list[Batch]:
        """The texts as padded batches within the token budget."""
        parts = self.pipeline.batches(self.pipeline.tokenize(texts), self.batch_tokens)
        if self.lower is None:
            return list(parts)
        with self.accelerator.autocast():
            return [self.lower.attached(part) for part in parts]

    def _logged_step(self, number: int) -> dict[str, Any]:
        started = time.perf_counter()
        facts = self.step(number)
        logged = {f"{self.stage}{key}": facts[key] for key in ("loss", "grad_norm", "lr")}
        self.accelerator.log(logged, step=number + 1)
        return facts | {"seconds": round(time.perf_counter() - started, 3)}

    def _add_gradients(self, number: int) -> float:
        """Add the gradients of one step to the adapter, summed over processes; return the loss."""
        step = self.objective.step(number)
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        texts = step.texts[rank::processes]
        seed = self.config.seed * 1_000_003 + number + 7919 * rank
        loss_of = step.loss_of if processes == 1 else self._over_all_processes(step.loss_of)
        loss, vectors = gradcache.backward(self.embed, self.parts(texts), loss_of, seed, self.memory)
        if not math.isfinite(loss):
            raise _divergence(number + 1, loss, texts, vectors)
        for parameter in self.parameters:
            if processes > 1 and parameter.grad is not None:
                parameter.grad = self.accelerator.reduce(parameter.grad, "sum")
        return loss

    def _over_all_processes(self, loss_of: gradcache.LossOf) -> gradcache.LossOf:
        """The loss of the vectors of all processes, differentiated with respect to those of this process."""
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index

        def gathered(vectors: Tensor) -> Tensor:
            counts = self.accelerator.gather(torch.tensor([len(vectors)], device=vectors.device)).tolist()
            padded = nn.functional.pad(vectors.detach(), (0, 0, 0, max(counts) - len(vectors)))
            everyone = self.accelerator.gather(padded).view(processes, max(counts), -1)
            shares = [everyone[i, :count] for i, count in enumerate(counts)]
            shares[rank] = vectors
            rows = torch.cat([torch.arange(i, sum(counts), processes) for i in range(processes)])
            return loss_of(torch.cat(shares)[rows.argsort().to(vectors.device)])

        return gathered


def learning_rate_factor(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """Share of the peak learning rate at a step, counted from 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    if schedule == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + math.cos(math.pi * progress)) if schedule == "cosine" else 1.0


def _divergence(step: int, loss: float, texts: Sequence[str], vectors: Tensor) -> DivergenceError:
    bad = [texts[i] for i in (~vectors.isfinite().all(1)).nonzero().flatten().tolist()]
    shown = "; ".join(repr(text[:60]) for text in (bad or texts)[:3])
    cause = f"{len(bad)} texts gave no finite vector" if bad else "all vectors are finite; texts of the step"
    return DivergenceError(f"loss is {loss} at step {step} ({cause}: {shown}): {_ADVICE}")


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
