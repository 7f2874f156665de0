"""Checkpoints of a training run: the adapter of each, the optimizer of the latest, and the log of all steps."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding.adapters import load_adapter
from lastword.training.adapter import save_adapter

OPTIMIZER = "optimizer.pt"
_KEPT = "latest-*"


@dataclass(frozen=True)
class Checkpoints:
    """The folder of the checkpoints, `step-000010` and so on, and `log.jsonl`, a line per step."""

    folder: Path

    @property
    def log(self) -> Path:
        """The file with loss, gradient norm and learning rate of every step."""
        return self.folder / "log.jsonl"

    def all(self) -> list[tuple[int, Path]]:
        """(step, folder) of every complete checkpoint, in order."""
        folders = sorted(path for path in self.folder.glob("step-*") if path.is_dir())
        return [(int(path.name.split("-")[1]), path) for path in folders]

    def losses(self) -> list[float]:
        """Loss of every step, those before a resume included."""
        return [json.loads(line)["loss"] for line in self.log.read_text().splitlines()]

    def save(
        self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig
    ) -> None:
        """Write a checkpoint atomically; older ones lose their optimizer, from which nobody resumes."""
        self._write(f"step-{step:06d}", model, optimizer, config)
        for _, older in self.all()[:-1]:
            (older / OPTIMIZER).unlink(missing_ok=True)

    def keep(
        self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig
    ) -> None:
        """Write what a killed run resumes from; no checkpoint, it is not scored, and the next one replaces it."""
        self._write(f"latest-{step:06d}", model, optimizer, config)

    def _write(
        self, name: str, model: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig
    ) -> None:
        before = list(self.folder.glob(_KEPT))
        partial = self.folder / f".{name}.partial"
        save_adapter(model, partial, config)
        buffer = io.BytesIO()  # when the disk is full, the error of torch's own writer does not say so
        torch.save(optimizer.state_dict(), buffer)
        (partial / OPTIMIZER).write_bytes(buffer.getbuffer())
        partial.replace(self.folder / name)
        for older in before:
            shutil.rmtree(older)

    def latest(self) -> tuple[int, Path | None]:
        """The number of steps done, and the folder of what was written last, with its optimizer."""
        steps = [*self.all(), *((int(path.name.split("-")[1]), path) for path in self.folder.glob(_KEPT))]
        complete = [(step, path) for step, path in steps if (path / OPTIMIZER).exists()]
        return max(complete, default=(0, None))

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Load what was written last, if there is something, and drop later lines from the log.

        Returns:
            The number of steps done.
        """
        step, path = self.latest()
        if path:
            load_adapter(model, path)
            device = next(model.parameters()).device
            optimizer.load_state_dict(torch.load(path / OPTIMIZER, map_location=device, weights_only=True))
            info(f"resuming after step {step}")
        if self.log.exists():
            complete = [line for line in self.log.read_text().splitlines() if line.endswith("}")]
            done = [line for line in complete if json.loads(line)["step"] <= step]
            self.log.write_text("".join(f"{line}\n" for line in done))
        return step


def checkpoint_steps(steps: int) -> list[int]:
    """Steps after which a checkpoint is written: dense at first, where a few steps change much; the last always.

    >>> checkpoint_steps(160)
    [10, 20, 40, 60, 100, 150, 160]
    """
    dense = [10, 20, 40, 60, 100, 150, 200, 300, 400, 500, 750]
    sparse = range(1000, steps + 1, 500)
    return sorted({step for step in (*dense, *sparse) if step < steps} | {steps})
