"""The protocol of a forward path: token ids to hidden states, and what it guarantees about them.

Work is shared only where a guarantee allows it: the states of a common prefix, suffixes behind one text, an
end-of-text token that one pooling reads and the others do not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from lastword.embedding.forward.tree import Tree
from lastword.embedding.spec import Norm
from lastword.embedding.tokens import Batch, LowerStates


@dataclass(frozen=True)
class Guarantees:
    """What holds for the states of a forward path.

    Attributes:
        causal: no state depends on a later token.
        max_tokens: longest sequence for which the states are those of the model; 0 if there is none.
        positions: "relative" if adding a constant to all positions changes no state, else "absolute".
    """

    causal: bool
    max_tokens: int
    positions: Literal["absolute", "relative"]


class ForwardPath(Protocol):
    """One way to run a decoder.

    Attributes:
        name: what the path is called.
    """

    name: str

    @property
    def guarantees(self) -> Guarantees:
        """What holds for the states now: hooks in the model or its device may change it."""

    def hidden(self, batch: Batch, layers: Sequence[int], norm: Norm) -> Iterator[tuple[int, Tensor]]:
        """Run a batch once; yield (layer, states (batch, seq, dim)) for the layers asked for, in ascending order.

        Layer 0 is the token embedding. States are in the precision of the model.
        """

    def last(self, batch: Batch, norm: Norm) -> Tensor:
        """States of the last layer at each row's last token, (batch, dim)."""


class BranchingPath(ForwardPath, Protocol):
    """A causal path that computes several suffixes behind one text without repeating the text.

    It begins with `Batch.lower` where a batch has these states, which must be of a layer below those asked for.
    """

    def branches(
        self, batch: Batch, tree: Tree, layers: Sequence[int], norm: Norm
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield (layer, states (batch, seq, dim), states of the tree's nodes (batch, nodes, dim))."""

    def branch_ends(self, batch: Batch, tree: Tree, nodes: list[int], norm: Norm) -> Tensor:
        """States of the last layer at each row's last token and at these nodes, (batch, 1 + nodes, dim)."""

    def lower(self, batch: Batch, layer: int) -> LowerStates:
        """Hidden states of a layer, computed from the ids, from which this path can go on."""

    def importance(self, batch: Batch) -> Tensor:
        """How much each token attends to itself in the first layer, as a multiple of even attention, (batch, seq)."""
