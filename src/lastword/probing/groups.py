"""The grid in parts that fit into memory, cut where the least work is done twice.

Templates that begin alike share their passes, and all poolings and layers of a pass come for the same price.
So the grid is cut between beginnings first, which costs nothing; then by layers, since a pass for early
layers stops early; then by templates; by poolings last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from lastword.embedding import Embedder
from lastword.embedding.grid import GridAxes, families
from lastword.errors import RequestError
from lastword.probing.choices import Choices

Item = TypeVar("Item")
_BYTES = 8  # of a number: float32, and its copy while vectors are scaled


def groups(embedder: Embedder, choices: Choices, texts: int, memory_gib: float) -> Iterator[Choices]:
    """Cut the grid so that the vectors of a part take at most `memory_gib`, or are those of one option.

    Args:
        embedder: whose tokenizer says which templates begin alike.
        choices: the grid.
        texts: texts that are embedded in each option, damaged copies included.
        memory_gib: memory for vectors, in GiB; the model's own comes on top.

    Raises:
        RequestError: a bound that is not above 0.
    """
    if not memory_gib > 0:
        raise RequestError(f"memory_gib={memory_gib}: give more than 0")
    most = max(1, int(memory_gib * 2**30 / (texts * embedder.dim * _BYTES)))
    for family in families(embedder.pipeline, GridAxes(choices.templates, choices.poolings, choices.layers)):
        whole = Choices(family.templates, choices.poolings, choices.layers)
        by_layers = max(1, most // (len(whole.templates) * len(whole.poolings)))
        by_templates = max(1, most // len(whole.poolings))
        for templates in _parts(whole.templates, by_templates):
            for poolings in _parts(whole.poolings, most):
                for layers in _parts(whole.layers, by_layers):
                    yield replace(whole, templates=templates, poolings=poolings, layers=layers)


def _parts(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Pieces of at most this size, as even as can be."""
    count = -(-len(items) // size)
    for i in range(count):
        yield list(items[i * len(items) // count : (i + 1) * len(items) // count])
