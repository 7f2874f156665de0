"""The gradient of a loss over a whole batch, in the memory of a few sequences.

A contrastive loss needs all vectors of a batch at once, the model needs memory for each token it
keeps a graph for. GradCache computes the vectors without a graph, then the gradient of the loss with
respect to the vectors, then each part of the batch again with a graph, fed that gradient. The result
is the gradient of the full batch, whatever the size of the parts.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
arXiv:2101.06983.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from lastword.embedding.tokens import Batch

Embed = Callable[[Batch], Tensor]
"""Part of a batch → its vectors, (batch, dim) float32."""
LossOf = Callable[[Tensor], Tensor]
"""All vectors of a batch, (n, dim) → scalar."""


@dataclass
class StepMemory:
    """Decides which activations are kept; learns what a token costs from the first part it sees.

    Attributes:
        limit_bytes: room for the activations of a step.
        bytes_per_token: measured on the first part; None until then.
    """

    limit_bytes: float
    bytes_per_token: float | None = None

    def measure(self, embed: Embed, part: Batch) -> None:
        """Count what autograd holds for a part, once."""
        if self.bytes_per_token is None:
            self.bytes_per_token = _measured_bytes_per_token(embed, part)

    def kept(self, parts: Sequence[Batch]) -> int:
        """How many parts, from the first on, keep their activations; one alone always does."""
        room = self.limit_bytes / (self.bytes_per_token or float("inf"))
        tokens = list(accumulate(part.tokens for part in parts))
        return max(sum(total <= room for total in tokens), int(len(parts) == 1))

    def kept_share(self, parts: Sequence[Batch]) -> float:
        """The share of a step's tokens whose activations are kept, from 0 to 1."""
        return sum(part.tokens for part in parts[: self.kept(parts)]) / sum(part.tokens for part in parts)


def backward(
    embed: Embed, parts: Sequence[Batch], loss_of: LossOf, seed: int, memory: StepMemory
) -> tuple[float, Tensor]:
    """Add the gradient of `loss_of(all vectors)` to the parameters behind `embed`.

    Args:
        embed: the model; dropout must come from torch's global generator, which is seeded for each
            part so that both passes drop the same.
        parts: the batch; `rows` of the parts together number all vectors.
        loss_of: the loss.
        seed: decides the dropout of this step.
        memory: see `StepMemory`.

    Returns:
        The loss, and all vectors, (n, dim) float32, detached.
    """
    memory.measure(embed, parts[-1])
    kept = memory.kept(parts)
    outputs = []
    for i, part in enumerate(parts):
        with torch.set_grad_enabled(i < kept):
            outputs.append(_seeded(embed, part, seed, i))
    rows = [row for part in parts for row in part.rows]
    order = torch.tensor(rows, device=outputs[0].device).argsort()
    vectors = torch.cat([output.detach() for output in outputs])[order].requires_grad_()
    loss = loss_of(vectors)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    for i, part in enumerate(parts):
        output = outputs[i] if i < kept else _seeded(embed, part, seed, i)
        output.backward(vectors.grad[part.rows])  # type: ignore[no-untyped-call]
        del output
        outputs[i] = outputs[i].detach()  # its graph has done its work
    return float(loss.detach()), vectors.detach()


def _seeded(embed: Embed, part: Batch, seed: int, index: int) -> Tensor:
    torch.manual_seed(seed * 100_003 + index)
    return embed(part)


def _measured_bytes_per_token(embed: Embed, part: Batch) -> float:
    """Bytes that autograd holds for each token of a part, counted once for each piece of storage."""
    held: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        # The tensor itself would hold the operation that made it, which holds the tensor: for ever.
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        embed(part)
    return sum(held.values()) / part.tokens
