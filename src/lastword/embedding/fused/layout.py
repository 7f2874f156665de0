"""How a batch lies in memory without padding: the shared beginning once, then each row's own tokens.

All rows of a batch begin with the same template. Causal attention makes those states the same in
every row, so they are computed once for the batch, and every row attends to them.

Source: the shared prefix as in prompt caching, arXiv:2311.04934; packing without padding as in
arXiv:2208.08124.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from lastword.embedding.tokens import Batch


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows of one length: tokens `start` … `start + rows * length` of the flat batch."""

    start: int
    rows: int
    length: int

    @property
    def tokens(self) -> slice:
        """Where they lie."""
        return slice(self.start, self.start + self.rows * self.length)


@dataclass(frozen=True)
class Layout:
    """A flat batch.

    Attributes:
        ids: (tokens,) the shared ids, then the rows' own.
        positions: (tokens,) place of each token in its sequence.
        shared: how many leading tokens all rows have in common.
        segments: the rows' own tokens, by runs of equal length.
        last: (rows,) index of each row's last token.
        own: (batch, seq) bool; True on the rows' own tokens.
    """

    ids: Tensor
    positions: Tensor
    shared: int
    segments: list[Segment]
    last: Tensor
    own: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Layout:
        """Lay out a padded batch."""
        shared, device = batch.shared, batch.input_ids.device
        own = batch.attention_mask.clone()
        own[:, :shared] = False
        place = torch.arange(own.shape[1], device=device).expand_as(own)
        ids = torch.cat([batch.input_ids[0, :shared], batch.input_ids[own]])
        positions = torch.cat([place[0, :shared], place[own]])
        ends = torch.tensor(batch.lengths, device=device).sub(shared).cumsum(0) + shared
        lengths = torch.tensor(batch.lengths, device=device)
        last = torch.where(lengths > shared, ends - 1, lengths - 1)
        return cls(ids, positions, shared, list(_segments(batch.lengths, shared)), last, own)

    def padded(self, states: Tensor) -> Tensor:
        """(tokens, dim) → (batch, seq, dim), zeros on padding; the shared states in every row."""
        out = states.new_zeros(*self.own.shape, states.shape[-1])
        out[:, : self.shared] = states[: self.shared]
        out[self.own] = states[self.shared :]
        return out


def _segments(lengths: list[int], shared: int) -> Iterator[Segment]:
    start = shared
    for length, rows in groupby(lengths):
        count, own = sum(1 for _ in rows), length - shared
        if own:
            yield Segment(start, count, own)
            start += count * own
