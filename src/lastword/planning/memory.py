"""Memory of a run on this machine or on a GPU of a given size, and what to change where it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from lastword.embedding.device import preferred_device, torch_device
from lastword.embedding.memory import free_bytes
from lastword.errors import RequestError

GIB = 2**30
LATER_BYTES = 250.0 * 2**20
"""What a long run takes on a CPU besides: caches of matrix products, freed pages that are kept."""
_CUDA_CONTEXT = 0.6 * GIB  # the driver, the kernels and what the allocator does not give back


@dataclass(frozen=True)
class Memory:
    """Peak memory of a run, in bytes.

    Attributes:
        process: Python, its libraries and their caches; on a GPU the context.
        weights: of the model.
        adapter: adapter weights, their gradients and the two moments of the optimizer.
        activations: of the forward pass, and in training of the graph.
        data: texts and vectors that are in memory together.
    """

    process: float
    weights: float
    adapter: float = 0.0
    activations: float = 0.0
    data: float = 0.0

    @property
    def peak(self) -> float:
        """All of it."""
        return self.process + self.weights + self.adapter + self.activations + self.data

    def to_dict(self) -> dict[str, int]:
        """Bytes, as JSON has them."""
        return {name: round(value) for name, value in (vars(self) | {"peak": self.peak}).items()}


@dataclass(frozen=True)
class Machine:
    """Where a run is planned for.

    Attributes:
        device: "cpu", "cuda" or "mps".
        available: bytes that it may use.
        process: bytes besides the model: Python, its libraries and their caches, or the context of the GPU.
        here: whether it is this machine.
    """

    device: str
    available: float
    process: float
    here: bool

    @classmethod
    def of(cls, device: str | None, gpu_memory: float | None) -> Machine:
        """A GPU with so many bytes, or a device of this machine."""
        if gpu_memory is not None:
            return cls("cuda", gpu_memory, _CUDA_CONTEXT, here=False)
        chosen = torch_device(device or preferred_device())
        if chosen.type != "cpu":
            return cls(chosen.type, free_bytes(chosen), _CUDA_CONTEXT, here=True)
        resident = float(psutil.Process().memory_info().rss)
        return cls("cpu", free_bytes(chosen) + resident, resident + LATER_BYTES, here=True)

    @property
    def timed(self) -> bool:
        """Whether its speed is measured: that of this machine's CPU, where the models that are timed run."""
        return self.here and self.device == "cpu"

    @property
    def dtype(self) -> str | None:
        """The default precision; None if this machine decides."""
        return None if self.here else "bfloat16"


def require_fit(
    what: str,
    machine: Machine,
    least: Callable[[Mapping[str, Any]], float],
    changes: Iterable[Mapping[str, Any]],
) -> None:
    """Refuse what cannot fit, and name the first change with which it does.

    Args:
        what: the run, for the message.
        machine: where it is planned for.
        least: settings that change → bytes that the run needs at least.
        changes: of settings, in the order in which they are proposed; each adds to those before.

    Raises:
        RequestError: it does not fit.
    """
    needed = least({})
    if needed <= machine.available:
        return
    message = f"{what} needs at least {gib(needed)}, and {gib(machine.available)} are available"
    together: dict[str, Any] = {}
    for change in map(dict, changes):
        if least(together | change) >= least(together):
            continue
        together |= change
        if (less := least(together)) <= machine.available:
            settings = ", ".join(f"{name}={value}" for name, value in together.items())
            raise RequestError(f"{message}; {gib(less)} with {settings}")
    raise RequestError(f"{message}; no setting makes it fit: take a smaller model")


def smaller_batches(batch_tokens: int, least: int) -> list[dict[str, Any]]:
    """Halves of the number of tokens in one pass, down to a least."""
    halves = []
    while (batch_tokens := batch_tokens // 2) >= least:
        halves.append({"batch_tokens": batch_tokens})
    return halves


def gib(count: float) -> str:
    """Bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:.0f} MiB"
