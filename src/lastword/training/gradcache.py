"""The gradient of a loss over a whole batch, in the memory of a few sequences.

A contrastive loss needs all vectors of a batch together, but a graph for all of its tokens takes too much memory.
GradCache computes the vectors without a graph, then the gradient of the loss with respect to the vectors, then
each part of the batch again with a graph and backpropagates that gradient through it. The result is the gradient
of the full batch, whatever the size of the parts.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
arXiv:2101.06983.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    """Decides which activations of a step are stored and which are computed twice.

    Attributes:
        limit_bytes: memory for the activations of a step.
        bytes_per_token: memory that the graph of one token takes; None until it is measured.
        weights: those of the model, which the graph refers to and which are in memory anyway.
    """

    limit_bytes: float
    bytes_per_token: float | None = None
    weights: Iterable[Tensor] = ()

    def measure(self, embed: Embed, part: Batch) -> None:
        """Measure the memory that autograd needs for a part, the first time only."""
        if self.bytes_per_token is None:
            self.bytes_per_token = _measured_bytes_per_token(embed, part, self.weights)

    def stored(self, parts: Sequence[Batch]) -> int:
        """Number of parts, from the first on, whose activations are stored; all if there is only one part."""
        limit_tokens = self.limit_bytes / (self.bytes_per_token or float("inf"))
        totals = accumulate(part.tokens for part in parts)
        return max(sum(total <= limit_tokens for total in totals), int(len(parts) == 1))

    def stored_share(self, parts: Sequence[Batch]) -> float:
        """Share of the tokens of a step whose activations are stored, 0 to 1."""
        return sum(part.tokens for part in parts[: self.stored(parts)]) / sum(part.tokens for part in parts)


def backward(
    embed: Embed, parts: Sequence[Batch], loss_of: LossOf, seed: int, memory: StepMemory
) -> tuple[float, Tensor]:
    """Add the gradient of `loss_of(all vectors)` to the parameters of the model.

    Args:
        embed: the model. Its dropout must use torch's global generator, which is seeded for each part so
            that both passes drop the same inputs.
        parts: the batch; the `rows` of all parts are 0 … n - 1 in some order.
        loss_of: the loss.
        seed: seed of the dropout of this step.
        memory: which activations are stored.

    Returns:
        The loss, and all vectors, (n, dim) float32, detached.
    """
    memory.measure(embed, largest(parts))
    stored = memory.stored(parts)
    outputs = []
    for i, part in enumerate(parts):
        with torch.set_grad_enabled(i < stored):
            outputs.append(_seeded(embed, part, seed, i))
    rows = [row for part in parts for row in part.rows]
    order = torch.tensor(rows, device=outputs[0].device).argsort()
    vectors = torch.cat([output.detach() for output in outputs])[order].requires_grad_()
    loss = loss_of(vectors)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    for i, part in enumerate(parts):
        output = outputs[i] if i < stored else _seeded(embed, part, seed, i)
        output.backward(vectors.grad[part.rows])  # type: ignore[no-untyped-call]
        del output
        outputs[i] = outputs[i].detach()  # frees its graph
    return float(loss.detach()), vectors.detach()


def largest(parts: Sequence[Batch]) -> Batch:
    """The part that tells best what a token takes: what a part takes besides is shared by most tokens."""
    return max(parts, key=lambda part: part.tokens)


def _seeded(embed: Embed, part: Batch, seed: int, index: int) -> Tensor:
    torch.manual_seed((seed * 100_003 + index) % 2**64)  # torch takes no larger ones
    return embed(part)


def _measured_bytes_per_token(embed: Embed, part: Batch, weights: Iterable[Tensor]) -> float:
    """Bytes that autograd saves per token of a part; tensors that share storage are counted once, weights never."""
    bytes_of: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        bytes_of[storage.data_ptr()] = storage.nbytes()
        # Returning the tensor itself would make a reference cycle of the tensor and the operation that saves it.
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        embed(part)
    known = {
        weight.untyped_storage().data_ptr() for weight in weights
    }  # the first pass may join their storages
    return sum(size for storage, size in bytes_of.items() if storage not in known) / part.tokens
