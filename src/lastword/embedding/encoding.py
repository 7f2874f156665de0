"""The encoding loop: texts in any number, window by window, so that memory does not grow with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from lastword.console import progress, warn_of_some
from lastword.embedding.memory import release_memory
from lastword.embedding.pipeline import LayerPooling, Pipeline
from lastword.embedding.pooling import Pooling
from lastword.embedding.tokens import Sequences, require_strings
from lastword.errors import DivergenceError

WINDOW = 16_384  # texts that are tokenized, and sorted by length, together
Vectors = dict[LayerPooling, np.ndarray]
"""(layer, pooling) → (n, dim) float32, not normalised."""


def encode_texts(
    pipeline: Pipeline,
    texts: Sequence[str],
    poolings: Sequence[Pooling],
    layers: Sequence[int],
    batch_tokens: int | None = None,
) -> Vectors:
    """Embed every distinct text once; each of the n texts gets the vector of its own."""
    require_strings(texts)
    first: dict[str, int] = {}  # distinct text → the row where it occurs first
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    parts = {
        (layer, pooling.spec): np.empty((len(first), pipeline.dim(pooling)), np.float32)
        for layer in layers
        for pooling in poolings
    }
    with progress("embedding", len(first)) as advance:
        numbered, start = ((row, text) for text, row in first.items()), 0
        for window in stream_texts(pipeline, numbered, poolings, layers, batch_tokens, advance):
            for point, vectors in window.items():
                parts[point][start : start + len(vectors)] = vectors
            start += len(vectors)
    if len(first) == len(texts):
        return parts
    row_of = {text: row for row, text in enumerate(first)}
    rows = [row_of[text] for text in texts]
    return {point: vectors[rows] for point, vectors in parts.items()}


def stream_texts(
    pipeline: Pipeline,
    numbered: Iterable[tuple[int, str]],
    poolings: Sequence[Pooling],
    layers: Sequence[int],
    batch_tokens: int | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Iterator[Vectors]:
    """Embed texts as they come, `WINDOW` at a time, in their order.

    Args:
        pipeline: model, tokenizer and spec.
        numbered: texts, each with the number that names it in an error.
        poolings: of each hidden state.
        layers: hidden states, 0 … number of layers.
        batch_tokens: padded tokens in one pass of the model; None is the device's default.
        advance: called with the number of texts that were just embedded, by the last pass over them.

    Yields:
        The vectors of each window.

    Raises:
        DivergenceError: the model gives a text a vector that is not finite.
    """
    passes, done, truncated = pipeline.passes(poolings), 0, 0
    for strings, window in _windows(pipeline, numbered, passes):
        vectors: Vectors = {}
        for number, (group, sequences) in enumerate(zip(passes, window, strict=True), 1):
            step = advance if number == len(passes) else lambda done: None
            vectors |= _embedded(pipeline, strings, sequences, group, layers, batch_tokens, step)
        done, truncated = done + len(window[0]), truncated + window[0].truncated
        yield vectors
    warn_of_some(f"texts were truncated to {pipeline.max_tokens} tokens", truncated, done)


def finite(pipeline: Pipeline, vectors: Tensor, texts: Sequence[str]) -> np.ndarray:
    """The vectors of a batch of n texts, (n, dim), as an array.

    Raises:
        DivergenceError: a vector is not finite.
    """
    rows: np.ndarray = vectors.cpu().numpy()
    invalid = (~np.isfinite(rows).all(axis=1)).nonzero()[0]
    if len(invalid):
        others = f" and {len(invalid) - 1} more texts of the batch" if len(invalid) > 1 else ""
        raise DivergenceError(
            f"{pipeline.backbone.name} gives no finite vector for {texts[invalid[0]][:60]!r}{others}: use "
            "dtype='float32', or another model or checkpoint"
        )
    return rows


@torch.inference_mode()
def _embedded(
    pipeline: Pipeline,
    texts: Sequence[str],
    sequences: Sequences,
    poolings: Sequence[Pooling],
    layers: Sequence[int],
    batch_tokens: int | None,
    advance: Callable[[int], None],
) -> Vectors:
    vectors = {
        (layer, pooling.spec): np.empty((len(sequences), pipeline.dim(pooling)), np.float32)
        for layer in layers
        for pooling in poolings
    }
    shapes = 0
    for batch in pipeline.batches(sequences, batch_tokens):
        shapes += 1
        for point, pooled in pipeline.pooled(batch, poolings, layers).items():
            vectors[point][batch.rows] = finite(pipeline, pooled, [texts[row] for row in batch.rows])
        advance(len(batch.rows))
    if shapes > 1:  # the allocator keeps what each shape used
        release_memory()
    return vectors


def _windows(
    pipeline: Pipeline, numbered: Iterable[tuple[int, str]], passes: Sequence[Sequence[Pooling]]
) -> Iterator[tuple[Sequence[str], list[Sequences]]]:
    """Windows of texts, tokenized once for each pass; the next one is tokenized while the caller computes."""
    texts = iter(numbered)

    def tokenized(window: list[tuple[int, str]]) -> tuple[Sequence[str], list[Sequences]]:
        numbers, strings = zip(*window, strict=True)
        append = [any(pooling.needs_eos for pooling in group) for group in passes]
        return strings, [pipeline.tokenize(strings, eos, numbers) for eos in append]

    window = list(itertools.islice(texts, WINDOW))
    following = list(itertools.islice(texts, WINDOW)) if len(window) == WINDOW else []
    if not following:  # a thread would cost more than a few texts do
        if window:
            yield tokenized(window)
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        current = thread.submit(tokenized, window)
        while following:
            ready, current = current.result(), thread.submit(tokenized, following)
            following = list(itertools.islice(texts, WINDOW))
            yield ready
        yield current.result()
