"""The states of the layers below the adapted ones: no step changes them, so they are computed once for each text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lastword.embedding.forward.path import BranchingPath
from lastword.embedding.tokens import Batch, LowerStates

Ids = tuple[int, ...]


@dataclass
class LowerLayers:
    """Computes the states below the adapted layers, without a graph, and keeps those of texts that come again.

    They are in main memory, in the precision that they were computed in: rounding them would change the gradients.

    Attributes:
        path: forward path that can begin with them.
        layer: number of layers below the adapted ones.
        limit_bytes: memory for kept states; those of further texts are computed at every step.
        bytes_per_token: memory of the states of a token.
        keep_at: a text's states are kept when it comes for this time: 2 where many texts come once.
        computed_tokens: number of tokens whose states were computed so far.
    """

    path: BranchingPath
    layer: int
    limit_bytes: float
    bytes_per_token: int
    keep_at: int = 1
    computed_tokens: int = 0
    _kept: dict[Ids, Tensor] = field(default_factory=dict)
    _shared: Tensor | None = None
    _seen: set[int] = field(default_factory=set)
    _bytes: int = 0

    def attached(self, batch: Batch) -> Batch:
        """The batch with these states; unchanged if its rows are too long for the path."""
        if max(batch.lengths) > self.path.guarantees.max_tokens:
            return batch
        rows = zip(batch.input_ids.tolist(), batch.lengths, strict=True)
        ids = [tuple(row[:length]) for row, length in rows]
        states: list[Tensor | None] = [self._kept.get(row) for row in ids]
        missing = [place for place, kept in enumerate(states) if kept is None]
        if missing:
            shared, *own = self._computed(batch.take(missing))
            self._shared = shared
            for place, computed in zip(missing, own, strict=True):
                states[place] = computed
                self._keep(ids[place], computed)
        device = batch.input_ids.device
        parts = [part.to(device) for part in (self._shared, *states) if part is not None]
        return replace(batch, lower=LowerStates(self.layer, torch.cat(parts)))

    def computed_share(self, epochs: float, tokens: float) -> float:
        """Share of the tokens of all epochs whose states are computed, not kept from an earlier step.

        Args:
            epochs: how often each pair is trained on.
            tokens: of an epoch.
        """
        kept = self.limit_bytes / (tokens * self.bytes_per_token)
        come_again = 1 / self.keep_at  # of augmented pairs, the anchors
        return 1 - min(kept, come_again) * max(0.0, 1 - self.keep_at / epochs)

    def clear(self) -> None:
        """Keep nothing from now on."""
        self._kept.clear()
        self.limit_bytes = 0

    @torch.no_grad()
    def _computed(self, batch: Batch) -> tuple[Tensor, ...]:
        """States of the shared tokens, then of the own tokens of each row, each (tokens, dim)."""
        states = self.path.lower(batch, self.layer).states
        self.computed_tokens += batch.tokens
        return torch.split(states, [batch.shared, *(length - batch.shared for length in batch.lengths)])

    def _keep(self, ids: Ids, states: Tensor) -> None:
        size = states.nbytes
        if self._bytes + size > self.limit_bytes or ids in self._kept:
            return
        if self.keep_at > 1 and hash(ids) not in self._seen:
            self._seen.add(hash(ids))
            return
        # A view would keep the states of the whole batch.
        self._kept[ids] = states.to("cpu", copy=True)
        self._bytes += size
