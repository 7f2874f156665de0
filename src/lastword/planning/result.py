"""A plan, as values and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lastword.console import duration
from lastword.planning.memory import Machine, Memory, gib
from lastword.report.table import aligned


@dataclass(frozen=True)
class Plan:
    """What a run will cost.

    Attributes:
        model: name or folder.
        layers: layers that are run.
        parameters: of these, the token embedding included.
        dtype: precision of the weights.
        texts: texts of the whole run; in training those of a step times the steps.
        tokens: tokens of the whole run, template included.
        truncated: longest sequence in tokens → share of the texts that it would truncate.
        max_tokens: longest sequence of the run.
        memory: at its peak.
        machine: where it is planned for.
        seconds: time; None for a GPU, whose speed is not known.
        disk: bytes that are written.
        facts: further lines, title → text.
        stages: parts of the run → their seconds; None for another machine.
        remedy: what to do about truncated texts.
    """

    model: str
    layers: int
    parameters: int
    dtype: str
    texts: int
    tokens: int
    truncated: Mapping[int, float]
    max_tokens: int
    memory: Memory
    machine: Machine
    seconds: float | None
    disk: float
    facts: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, float | None] = field(default_factory=dict)
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values; sizes are bytes."""
        plain = {
            name: getattr(self, name)
            for name in ("model", "layers", "parameters", "dtype", "texts", "tokens", "max_tokens")
        }
        return {
            **plain,
            "truncated": {str(most): round(share, 4) for most, share in self.truncated.items()},
            "memory": self.memory.to_dict(),
            "available": round(self.machine.available),
            "device": self.machine.device,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "disk": round(self.disk),
            "facts": dict(self.facts),
            "stages": {
                name: None if value is None else round(value, 1) for name, value in self.stages.items()
            },
        }

    def __str__(self) -> str:
        """Lines for a terminal."""
        memory = self.memory
        parts = {
            "process": memory.process, "weights": memory.weights, "adapter": memory.adapter,
            "activations": memory.activations, "data": memory.data,
        }  # fmt: skip
        detail = ", ".join(f"{name} {gib(size)}" for name, size in parts.items() if size >= 2**20)
        where = "on this machine" if self.machine.here else f"on a GPU of {gib(self.machine.available)}"
        time = (
            "unknown: it is measured for runs on the CPU of this machine only"
            if self.seconds is None
            else f"about {duration(self.seconds)}"
        )
        parts_of_time = [
            f"{name} {duration(value)}" for name, value in self.stages.items() if value is not None
        ]
        if len(parts_of_time) > 1:
            time += f": {', '.join(parts_of_time)}"
        lines = {
            "model": f"{self.model}: {self.layers} layers, {self.parameters / 1e6:,.1f} M weights, {self.dtype}",
            "texts": f"{self.texts:,} with {self.tokens:,} tokens, {self.tokens / max(1, self.texts):.0f} each",
            "truncated": self._truncated(),
            **self.facts,
            "memory": f"{gib(memory.peak)} of {gib(self.machine.available)} {where}: {detail}",
            "time": time,
            "disk": gib(self.disk),
        }
        return aligned(list(lines.items()))

    def _truncated(self) -> str:
        """The share of the texts that lose their end, and of those that would with sequences of other lengths."""
        share, most = self.truncated[self.max_tokens], self.max_tokens
        others = [f"{other:.1%} with {length}" for length, other in self.truncated.items() if length != most]
        elsewhere = f"; it would be {', '.join(others)}" if others else ""
        if not share:
            return f"none: each text fits into the {most} tokens of this run{elsewhere}"
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{share:.1%} of the texts lose their end, beyond the {most} tokens of this run{elsewhere}{remedy}"
