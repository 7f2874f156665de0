"""Several suffixes after one text, as a tree: tokens that suffixes begin with in common are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tree:
    """A trie of token ids; a node comes after its parent.

    Each node attends to the text and its own ancestors, so its state is the same as if its suffix alone followed
    the text.

    Source: tree attention, arXiv:2305.09781, where it is used for speculative decoding.

    Attributes:
        ids: token of each node.
        parents: index of each node's parent, -1 for a node that follows the text.
        depths: distance of each node from the text, from 0.
        paths: the nodes of each suffix, in order.
    """

    ids: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, suffixes: Sequence[Sequence[int]]) -> Tree:
        """Merge suffixes by their common beginnings."""
        nodes: dict[tuple[int, int], int] = {}
        ids: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        paths = []
        for suffix in suffixes:
            path: list[int] = []
            for depth, token in enumerate(suffix):
                parent = path[-1] if path else -1
                node = nodes.setdefault((parent, token), len(ids))
                if node == len(ids):
                    ids.append(token)
                    parents.append(parent)
                    depths.append(depth)
                path.append(node)
            paths.append(path)
        return cls(ids, parents, depths, paths)

    def sees(self, device: torch.device) -> Tensor:
        """(nodes, nodes) bool: whether the node of the row attends to that of the column."""
        seen = torch.eye(len(self), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen.to(device)
