"""Vectors by one template, or the means of those by several: the encoding that an `Embedder` calls.

A mean costs one pass over a text where its templates begin alike and the forward path can branch; see `grid.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from lastword.embedding import encoding
from lastword.embedding.encoding import WINDOW, Vectors
from lastword.embedding.grid import GridAxes, GridPoint, encode_grid, label
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.pooling import Pooling


def encode_texts(
    pipeline: Pipeline,
    texts: Sequence[str],
    poolings: Sequence[Pooling],
    layers: Sequence[int],
    batch_tokens: int | None = None,
) -> Vectors:
    """As `encoding.encode_texts`, for averages of templates too."""
    template = pipeline.spec.template
    if not template.averaged:
        return encoding.encode_texts(pipeline, texts, poolings, layers, batch_tokens)
    grid = encode_grid(pipeline, texts, GridAxes([template], poolings, layers), batch_tokens)
    return {
        (layer, pooling.spec): grid[GridPoint(label(template), pooling.spec, layer)]
        for layer in layers
        for pooling in poolings
    }


def stream_texts(
    pipeline: Pipeline,
    numbered: Iterable[tuple[int, str]],
    poolings: Sequence[Pooling],
    layers: Sequence[int],
    batch_tokens: int | None = None,
) -> Iterator[Vectors]:
    """As `encoding.stream_texts`, for averages of templates too."""
    if not pipeline.spec.template.averaged:
        yield from encoding.stream_texts(pipeline, numbered, poolings, layers, batch_tokens)
        return
    texts = (text for _, text in numbered)
    while window := list(itertools.islice(texts, WINDOW)):
        yield encode_texts(pipeline, window, poolings, layers, batch_tokens)
