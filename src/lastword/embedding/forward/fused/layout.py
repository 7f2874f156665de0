"""A batch in memory without padding: the shared beginning once, then the own tokens of each row.

All rows of a batch begin with the same template. With causal attention those states are the same in every
row, so they are computed once for the batch, and every row attends to them.

    padded, 3 rows, 2 shared (s):   s s a a .      flat:  s s | a a | b | c c c
                                    s s b . .
                                    s s c c c

Source: the shared prefix as in prompt caching, arXiv:2311.04934; packing without padding as in
arXiv:2208.08124.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor

from lastword.embedding.forward.tree import Tree
from lastword.embedding.tokens import Batch, LowerStates


@dataclass(frozen=True)
class Segment:
    """Consecutive rows with the same number of own tokens."""

    rows: int
    length: int


@dataclass(frozen=True)
class Parts:
    """The states of a flat batch, split in one operation: many slices would each have a backward pass of their own.

    Attributes:
        shared: (1, shared, …) states that all rows have in common.
        rows: (rows, length, …) for each segment.
        nodes: (rows, nodes, …) for each segment; empty without a tree.
    """

    shared: Tensor
    rows: list[Tensor]
    nodes: list[Tensor]


@dataclass(frozen=True)
class Layout:
    """A flat batch.

    Attributes:
        ids: (tokens,) the shared ids, then the own ids of the rows, then the nodes of the tree for each row.
        positions: (tokens,) position of each token in its sequence.
        shared: number of leading tokens that all rows have in common.
        segments: the own tokens of the rows, in runs of equal length.
        last: (rows,) index of each row's last token.
        own: (batch, seq) bool; True on the rows' own tokens.
        tree: suffixes after each row, or None.
        tree_start: index of the first node.
        lower: states to begin with, in this order, or None.
    """

    ids: Tensor
    positions: Tensor
    shared: int
    segments: list[Segment]
    last: Tensor
    own: Tensor
    tree: Tree | None
    tree_start: int
    lower: LowerStates | None

    @classmethod
    def of(cls, batch: Batch, tree: Tree | None = None) -> Layout:
        """Lay out a padded batch, with a tree of suffixes after each row."""
        # A single row shares its beginning with no other: one step of attention instead of two.
        shared, device = batch.shared if len(batch.lengths) > 1 else 0, batch.input_ids.device
        own = batch.attention_mask.clone()
        own[:, :shared] = False
        column = torch.arange(own.shape[1], device=device).expand_as(own)
        ids = [batch.input_ids[0, :shared], batch.input_ids[own]]
        positions = [column[0, :shared], column[own]]
        lengths = torch.tensor(batch.lengths, device=device)
        ends = lengths.sub(shared).cumsum(0) + shared
        if tree is not None:
            nodes, depths, limits = torch.tensor(
                [tree.ids, tree.depths, tree.limits], dtype=torch.long, device=device
            )
            ids.append(nodes.repeat(len(lengths)))
            positions.append((lengths[:, None].minimum(limits) + depths).flatten())
        return cls(
            ids=torch.cat(ids),
            positions=torch.cat(positions),
            shared=shared,
            segments=list(_segments(batch.lengths, shared)),
            last=torch.where(lengths > shared, ends - 1, lengths - 1),
            own=own,
            tree=tree,
            tree_start=sum(batch.lengths) - shared * (len(batch.lengths) - 1),
            lower=batch.lower,
        )

    def ends(self, nodes: list[int]) -> Tensor:
        """(rows, 1 + nodes) index of each row's last token and of these nodes of its tree."""
        if self.tree is None or not nodes:
            return self.last[:, None]
        rows = torch.arange(len(self.last), device=self.last.device)[:, None] * len(self.tree)
        after = self.tree_start + rows + torch.tensor(nodes, device=rows.device)
        return torch.cat([self.last[:, None], after], dim=1)

    def padded(self, states: Tensor) -> Tensor:
        """(tokens, dim) → (batch, seq, dim), zeros on padding; the shared states in every row."""
        out = states.new_zeros(*self.own.shape, states.shape[-1])
        out[:, : self.shared] = states[: self.shared]
        out[self.own] = states[self.shared : self.tree_start]
        return out

    def causal_mask(self, queries: int, keys: int, dtype: torch.dtype, repeats: int = 1) -> Tensor:
        """(queries * repeats, keys) to add to the scores: the last query attends to every key.

        Each row is there `repeats` times in succession. Made once for all layers.
        """
        size = (queries, keys, dtype, repeats)
        if size not in self._masks:
            ones = torch.ones(queries, keys, dtype=torch.bool, device=self.ids.device)
            mask = additive(ones.tril(keys - queries), dtype)
            self._masks[size] = mask.repeat_interleave(repeats, dim=0)
        return self._masks[size]

    @cached_property
    def _masks(self) -> dict[tuple[int, int, torch.dtype, int], Tensor]:
        return {}

    @cached_property
    def places(self) -> Tensor:
        """(own tokens,) index of each row's own tokens in a flat (batch * longest own) array."""
        return self.own[:, self.shared :].flatten().nonzero().squeeze(1)

    def rows(self, states: Tensor) -> Tensor:
        """(tokens, …) → (batch, longest own, …), only the own states of the rows, padded with zeros."""
        own = self.own[:, self.shared :]
        out = states.new_zeros(own.numel(), *states.shape[1:])
        out[self.places] = states[self.shared : self.tree_start]
        return out.view(*own.shape, *states.shape[1:])

    def parts(self, states: Tensor) -> Parts:
        """(tokens, …) → its parts, as views."""
        tail, own = states.shape[1:], [(segment.rows, segment.length) for segment in self.segments]
        sizes = own + ([(rows, len(self.tree)) for rows, _ in own] if self.tree is not None else [])
        shared, *flat = torch.split(states, [self.shared, *(rows * length for rows, length in sizes)])
        shaped = [part.view(*size, *tail) for part, size in zip(flat, sizes, strict=True)]
        return Parts(shared[None], shaped[: len(own)], shaped[len(own) :])

    def nodes(self, states: Tensor) -> Tensor:
        """(tokens, dim) → (batch, nodes, dim), the states of the tree of each row."""
        count = 0 if self.tree is None else len(self.tree)
        return states[self.tree_start :].view(len(self.own), count, states.shape[-1])


def additive(sees: Tensor, dtype: torch.dtype) -> Tensor:
    """A bool mask as numbers to add, 0 or -inf: a sum costs nothing in the backward pass."""
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill_(~sees, float("-inf"))


def _segments(lengths: list[int], shared: int) -> Iterator[Segment]:
    for length, rows in groupby(lengths):
        yield Segment(sum(1 for _ in rows), length - shared)
