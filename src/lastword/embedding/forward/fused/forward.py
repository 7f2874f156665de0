"""The fused path: the protocol of `forward/path.py` over flat batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lastword.embedding.forward.fused.blocks import Blocks, StructureError, read_blocks
from lastword.embedding.forward.fused.decoder import end_states, hidden_states, self_attention
from lastword.embedding.forward.fused.layout import Layout
from lastword.embedding.forward.fused.proof import equals_stock
from lastword.embedding.forward.path import Guarantees
from lastword.embedding.forward.stock import StockForward
from lastword.embedding.forward.tree import Tree
from lastword.embedding.spec import Norm
from lastword.embedding.tokens import Batch, LowerStates


class FusedForward:
    """A forward pass without padding, for decoders that are built like Llama.

    Attention is causal by construction, so the shared beginning of a batch is computed once, and suffixes
    can follow a text as a tree.

    Attributes:
        blocks: the modules of the model by their role.
    """

    name = "fused"

    def __init__(self, blocks: Blocks, stock: StockForward) -> None:
        self.blocks, self._stock = blocks, stock

    @classmethod
    def of(cls, stock: StockForward, tolerance: float) -> FusedForward | None:
        """Read the model's structure, or return None if it is not built like Llama or gives other states.

        Args:
            stock: the model's own forward pass, which the states are compared with.
            tolerance: largest relative difference of two correct computations.
        """
        if not stock.guarantees.causal:
            return None
        try:
            blocks = read_blocks(stock.model)
        except StructureError:
            return None
        return cls(blocks, stock) if equals_stock(blocks, stock.guarantees.max_tokens, tolerance) else None

    @property
    def guarantees(self) -> Guarantees:
        """Up to the narrowest attention window; never while a module has hooks, which only the stock path runs."""
        own = self._stock.guarantees
        longest = 0 if self.blocks.hooked else min(self.blocks.window or own.max_tokens, own.max_tokens)
        return Guarantees(True, longest, own.positions)

    def hidden(self, batch: Batch, layers: Sequence[int], norm: Norm) -> Iterator[tuple[int, Tensor]]:
        """See `ForwardPath.hidden`."""
        layout = Layout.of(batch)
        for layer, states in self._states(layout, layers, norm):
            yield layer, layout.padded(states)

    def last(self, batch: Batch, norm: Norm) -> Tensor:
        """See `ForwardPath.last`; the last layer computes no other tokens, unless a row ends in the shared ones."""
        if min(batch.lengths) <= batch.shared:
            ((_, states),) = self.hidden(batch, [len(self.blocks.layers)], norm)
            rows = torch.arange(len(batch.lengths), device=states.device)
            return states[rows, torch.tensor(batch.lengths, device=states.device) - 1]
        return self._ends(Layout.of(batch), [], norm)[:, 0]

    def branches(
        self, batch: Batch, tree: Tree, layers: Sequence[int], norm: Norm
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """See `BranchingPath.branches`."""
        layout = Layout.of(batch, tree)
        for layer, states in self._states(layout, layers, norm):
            yield layer, layout.padded(states), layout.nodes(states)

    def branch_ends(self, batch: Batch, tree: Tree, nodes: list[int], norm: Norm) -> Tensor:
        """See `BranchingPath.branch_ends`."""
        return self._ends(Layout.of(batch, tree), nodes, norm)

    def lower(self, batch: Batch, layer: int) -> LowerStates:
        """See `BranchingPath.lower`."""
        *_, (_, states) = hidden_states(self.blocks, Layout.of(replace(batch, lower=None)), layer)
        return LowerStates(layer, states)

    def importance(self, batch: Batch) -> Tensor:
        """See `BranchingPath.importance`."""
        return self_attention(self.blocks, Layout.of(replace(batch, lower=None)))

    def _states(self, layout: Layout, layers: Sequence[int], norm: Norm) -> Iterator[tuple[int, Tensor]]:
        for layer, states in hidden_states(self.blocks, layout, max(layers)):
            if layer in layers:
                yield layer, self.blocks.norm(states) if norm == "post" else states

    def _ends(self, layout: Layout, nodes: list[int], norm: Norm) -> Tensor:
        states = end_states(self.blocks, layout, nodes)
        return self.blocks.norm(states) if norm == "post" else states
