"""A model before training, in many templates, poolings and layers: texts are embedded for all of them in one pass."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lastword.console import progress
from lastword.embedding import Embedder
from lastword.embedding.grid import GridPoint, label
from lastword.embedding.pooling import Pooling
from lastword.embedding.template import Template
from lastword.encoder import TextEncoder, Wrapper
from lastword.files.run_folder import hash_of, replace

PASS_BYTES = 2**30
"""Vectors that one pass over a set of texts stores; what does not fit is left to another pass."""
_CHUNK_BYTES = 2**28  # vectors in memory


@dataclass(frozen=True)
class Way:
    """How a model embeds: a template, a pooling and the layer that is pooled, None for the last."""

    template: str
    pooling: str
    layer: int | None = None


class Untrained:
    """A base model that embeds texts with several templates, poolings and layers in one pass.

    Args:
        model: name or folder.
        folder: for vectors that are computed before they are needed.
        device: None is the best available one.
        dtype: None is the best precision that the device supports.
    """

    def __init__(self, model: str, folder: Path, device: str | None, dtype: str | None = None) -> None:
        self.model, self.folder = model, folder
        self.embedder = Embedder.from_pretrained(model, device=device, dtype=dtype)

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.embedder.backbone.layers

    def encoder(self, ways: Sequence[Way]) -> TextEncoder:
        """An encoder for the first of these ways; its passes embed for the others, too, which are needed later."""
        return _FirstWay(self, ways)

    def vectors(self, ways: Sequence[Way], texts: Sequence[str]) -> np.ndarray:
        """Vectors of the first way, (n, dim) float32."""
        folder = self.folder / hash_of(list(texts))
        file = folder / _file(ways[0])
        if not file.exists():
            most = PASS_BYTES // (4 * self.embedder.dim * max(1, len(texts)))
            self._embed(folder, ways[: max(1, most)], texts)
        vectors: np.ndarray = np.load(file)
        return vectors

    def _embed(self, folder: Path, ways: Sequence[Way], texts: Sequence[str]) -> None:
        """Write a file of vectors for each way, in place of those of an earlier pass."""
        templates, poolings, layers = (
            list(dict.fromkeys(getattr(way, axis) for way in ways)) for axis in ("template", "pooling", "layer")
        )  # fmt: skip
        numbers = [self.depth if layer is None else layer for layer in layers]
        combinations = len(templates) * len(poolings) * len(layers)
        size = max(32, _CHUNK_BYTES // (4 * self.embedder.dim * combinations))
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        unfinished = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        shape = (len(texts), self.embedder.dim)
        files = {
            way: np.lib.format.open_memmap(unfinished / _file(way), mode="w+", dtype=np.float32, shape=shape)
            for way in ways
        }
        with progress(f"embedding for {len(ways)} cells", len(texts), step=size) as advance:
            for start in range(0, len(texts), size):
                rows = by_length[start : start + size]
                grid = self.embedder.encode_grid([texts[row] for row in rows], templates, poolings, numbers)
                for way, vectors in files.items():
                    vectors[rows] = grid[self._point(way)]
                advance(len(rows))
        for vectors in files.values():
            vectors.flush()
        replace(unfinished, folder)

    def _point(self, way: Way) -> GridPoint:
        layer = self.depth if way.layer is None else way.layer
        return GridPoint(label(Template.parse(way.template)), Pooling.parse(way.pooling).spec, layer)


class _FirstWay(Wrapper):
    """The model in the first of several ways; see `Untrained.encoder`."""

    def __init__(self, untrained: Untrained, ways: Sequence[Way]) -> None:
        self.untrained, self.ways = untrained, ways
        self.encoder = untrained.embedder.variant(**asdict(ways[0]))

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32, in the order of the texts."""
        return self.untrained.vectors(self.ways, texts)


def _file(way: Way) -> str:
    return f"{hash_of(asdict(way))}.npy"
