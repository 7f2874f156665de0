"""Several suffixes after one text, as a tree: tokens that suffixes begin with in common are computed once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tree:
    """A trie of token ids; a node comes after its parent.

    Each node attends to the text and its own ancestors, so its state is the same as if its suffix alone followed
    the text, or the part of it that its template leaves.

    Source: tree attention, arXiv:2305.09781, where it is used for speculative decoding.

    Attributes:
        ids: token of each node.
        parents: index of each node's parent, -1 for a node that follows the text.
        depths: distance of each node from the text, from 0.
        paths: the nodes of each suffix, in order.
        limits: for each node the longest row, in tokens, that it follows; of a longer one it sees only so many.
    """

    ids: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]
    limits: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, suffixes: Sequence[Sequence[int]], limits: Sequence[int] | None = None) -> Tree:
        """Merge suffixes by their common beginnings.

        Args:
            suffixes: ids.
            limits: for each suffix the longest row that it follows; None is any length.
        """
        nodes: dict[tuple[int, int, int], int] = {}
        node_limits: list[int] = []
        ids: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        paths = []
        for suffix, limit in zip(suffixes, limits or [sys.maxsize] * len(suffixes), strict=True):
            path: list[int] = []
            for depth, token in enumerate(suffix):
                parent = path[-1] if path else -1
                node = nodes.setdefault((parent, token, limit), len(ids))
                if node == len(ids):
                    ids.append(token)
                    parents.append(parent)
                    depths.append(depth)
                    node_limits.append(limit)
                path.append(node)
            paths.append(path)
        return cls(ids, parents, depths, paths, node_limits)

    def sees(self, length: int, device: torch.device) -> Tensor:
        """(nodes, length + nodes) bool: whether a node attends to a token of a row of this length, or to a node."""
        text = torch.arange(length) < torch.tensor(self.limits)[:, None]
        seen = torch.eye(len(self), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return torch.cat([text, seen], dim=1).to(device)
