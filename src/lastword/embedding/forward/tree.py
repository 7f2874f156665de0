"""Several suffixes behind one text, as a tree: what they begin with in common is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tree:
    """A trie of token ids; a node comes after its parent.

    Each node sees the text and its own ancestors, so its state is what it would be if its suffix stood
    there alone.

    Source: tree attention, arXiv:2305.09781, there for speculative decoding.

    Attributes:
        ids: token of each node.
        parents: index of each node's parent, -1 for what follows the text.
        depths: how far each node is from the text, from 0.
        paths: for each suffix, its nodes in order.
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
        """(nodes, nodes) bool: whether the row's node sees the column's."""
        seen = torch.eye(len(self), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen.to(device)
