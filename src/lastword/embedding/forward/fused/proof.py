"""The proof that the fused path fits a model: every layer is compared with the model's own, in float32."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from lastword.embedding.forward.float32 import in_float32
from lastword.embedding.forward.fused.blocks import Blocks, read_block
from lastword.embedding.forward.fused.decoder import layer_output, rotations
from lastword.embedding.forward.fused.layout import Layout
from lastword.embedding.forward.stock import sample_batch
from lastword.embedding.tokens import Batch


@torch.no_grad()
def equals_stock(blocks: Blocks, positions: int, tolerance: float) -> bool:
    """Whether embedding, layers and final norm give what the model itself computes.

    The model runs once. Each of its layers is repeated on the same input, so that a small error cannot hide behind
    a large residual stream: what is compared is the layer's own contribution.

    Args:
        blocks: the modules of the model.
        positions: longest sequence of the model.
        tolerance: largest relative difference of two correct computations.
    """
    longest = min(positions, blocks.window or positions)
    device = next(blocks.model.parameters()).device
    batch = sample_batch(blocks.vocabulary, longest, device)
    comparison = _Comparison(blocks, batch, tolerance)
    with ExitStack() as stack:
        for layer in blocks.model.layers:  # type: ignore[union-attr]
            hook = layer.register_forward_hook(comparison.compare, with_kwargs=True)
            stack.callback(hook.remove)  # these run before the weights are converted back
        try:
            with in_float32(blocks.model):
                mask = batch.attention_mask.long()
                output = blocks.model(input_ids=batch.input_ids, attention_mask=mask, use_cache=False)
                return comparison.agrees_at_the_end(output.last_hidden_state)
        except (RuntimeError, TypeError, ValueError):  # modules of the same names, connected in another way
            return False


class _Comparison:
    """Follows the residual stream through the model's own forward pass; a hook calls `compare` after each layer."""

    def __init__(self, blocks: Blocks, batch: Batch, tolerance: float) -> None:
        self.blocks, self.tolerance = blocks, tolerance
        self.layout, self.batch = Layout.of(batch), batch
        self.stream = blocks.embed(self.layout.ids).float()
        self.done, self.equal = 0, True

    def compare(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Repeat a layer on its own input."""
        before = self._flat(args[0] if args else kwargs["hidden_states"])
        after = self._flat(output[0] if isinstance(output, tuple) else output)
        self.equal &= layer is self.blocks.model.layers[self.done]  # type: ignore[index]
        self.equal &= self._close(self.stream, before)
        if self.equal:
            block = read_block(layer)  # not the one of the path, which would keep the weights in float32
            turn = rotations(self.blocks, self.layout, before)[block.rotary]
            fused = layer_output(block, before, self.layout, turn)
            self.equal = self._close(fused - before, after - before)
        self.stream, self.done = after, self.done + 1

    def agrees_at_the_end(self, states: Tensor) -> bool:
        """Whether every layer ran once, in order, and the final norm gives these states, (batch, seq, dim)."""
        last = self.equal and self.done == len(self.blocks.layers)
        return last and self._close(self.blocks.norm(self.stream), self._flat(states))

    def _flat(self, states: Tensor) -> Tensor:
        """(batch, seq, dim) → (tokens, dim), as the layout has them."""
        shared = self.layout.shared
        return torch.cat([states[0, :shared], states[self.layout.own]])

    def _close(self, states: Tensor, reference: Tensor) -> bool:
        return float((states - reference).norm()) <= self.tolerance * float(reference.norm())
