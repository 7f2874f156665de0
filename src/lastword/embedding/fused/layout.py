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

from lastword.embedding.fused.tree import Tree
from lastword.embedding.tokens import Batch


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows of one length: tokens `start` … `start + rows * length` of the flat batch.

    `first` is the number of the first of them among all rows.
    """

    start: int
    first: int
    rows: int
    length: int

    @property
    def tokens(self) -> slice:
        """Where they lie."""
        return slice(self.start, self.start + self.rows * self.length)

    def behind(self, tree: Tree, start: int) -> slice:
        """Where the nodes of these rows lie, if the first row's begin at `start`."""
        return slice(start + self.first * len(tree), start + (self.first + self.rows) * len(tree))


@dataclass(frozen=True)
class Layout:
    """A flat batch.

    Attributes:
        ids: (tokens,) the shared ids, then the rows' own, then for each row the nodes of the tree.
        positions: (tokens,) place of each token in its sequence.
        shared: how many leading tokens all rows have in common.
        segments: the rows' own tokens, by runs of equal length.
        last: (rows,) index of each row's last token.
        own: (batch, seq) bool; True on the rows' own tokens.
        tree: suffixes behind each row, or None.
        tree_start: where the nodes begin.
    """

    ids: Tensor
    positions: Tensor
    shared: int
    segments: list[Segment]
    last: Tensor
    own: Tensor
    tree: Tree | None
    tree_start: int

    @classmethod
    def of(cls, batch: Batch, tree: Tree | None = None) -> Layout:
        """Lay out a padded batch, with a tree of suffixes behind each row."""
        shared, device = batch.shared, batch.input_ids.device
        own = batch.attention_mask.clone()
        own[:, :shared] = False
        place = torch.arange(own.shape[1], device=device).expand_as(own)
        ids = [batch.input_ids[0, :shared], batch.input_ids[own]]
        positions = [place[0, :shared], place[own]]
        lengths = torch.tensor(batch.lengths, device=device)
        ends = lengths.sub(shared).cumsum(0) + shared
        if tree is not None:
            nodes, depths = torch.tensor([tree.ids, tree.depths], dtype=torch.long, device=device)
            ids.append(nodes.repeat(len(lengths)))
            positions.append((lengths[:, None] + depths).flatten())
        return cls(
            ids=torch.cat(ids),
            positions=torch.cat(positions),
            shared=shared,
            segments=list(_segments(batch.lengths, shared)),
            last=torch.where(lengths > shared, ends - 1, lengths - 1),
            own=own,
            tree=tree,
            tree_start=sum(batch.lengths) - shared * (len(batch.lengths) - 1),
        )

    def ends(self, nodes: list[int]) -> Tensor:
        """(rows, 1 + nodes) index of each row's last token and of these nodes of its tree."""
        if self.tree is None or not nodes:
            return self.last[:, None]
        rows = torch.arange(len(self.last), device=self.last.device)[:, None] * len(self.tree)
        behind = self.tree_start + rows + torch.tensor(nodes, device=rows.device)
        return torch.cat([self.last[:, None], behind], dim=1)

    def padded(self, states: Tensor) -> Tensor:
        """(tokens, dim) → (batch, seq, dim), zeros on padding; the shared states in every row."""
        out = states.new_zeros(*self.own.shape, states.shape[-1])
        out[:, : self.shared] = states[: self.shared]
        out[self.own] = states[self.shared : self.tree_start]
        return out

    def nodes(self, states: Tensor) -> Tensor:
        """(tokens, dim) → (batch, nodes, dim), the states of every row's tree."""
        count = 0 if self.tree is None else len(self.tree)
        return states[self.tree_start :].view(len(self.own), count, states.shape[-1])


def _segments(lengths: list[int], shared: int) -> Iterator[Segment]:
    start, first = shared, 0
    for length, rows in groupby(lengths):
        count = sum(1 for _ in rows)
        yield Segment(start, first, count, length - shared)
        start, first = start + count * (length - shared), first + count
