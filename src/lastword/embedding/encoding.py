"""The encoding loop: each distinct text once, window by window, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from lastword.console import progress, warn
from lastword.embedding.memory import release_memory
from lastword.embedding.pooling import Pooling
from lastword.embedding.tokens import Sequences, require_strings

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder

WINDOW = 16_384  # texts that are tokenized, and sorted by length, together


def encode_texts(
    embedder: Embedder, texts: Sequence[str], poolings: Sequence[Pooling], batch_tokens: int | None
) -> dict[str, np.ndarray]:
    """See `Embedder.encode_poolings`; vectors are not normalised here."""
    require_strings(texts)
    first: dict[str, int] = {}  # distinct text → the row where it stands first
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    vectors = {pooling.spec: np.empty((len(first), embedder.dim), np.float32) for pooling in poolings}
    cut = shapes = 0
    with torch.inference_mode(), progress("embedding", len(first)) as advance:
        for start, sequences in _windows(embedder, first, any(pooling.name == "eos" for pooling in poolings)):
            cut += sequences.cut
            for batch in embedder.batches(sequences, batch_tokens):
                shapes += 1
                rows = [start + row for row in batch.rows]
                for spec, pooled in embedder.pooled(batch, poolings).items():
                    vectors[spec][rows] = pooled.cpu().numpy()
                advance(len(rows))
            if shapes > 1:  # what each of them used stays behind
                release_memory()
    if cut:
        warn(f"{cut} of {len(first)} texts are longer than {embedder.max_tokens} tokens and lost their end")
    if len(first) < len(texts):
        place = {text: row for row, text in enumerate(first)}
        rows = [place[text] for text in texts]
        vectors = {spec: distinct[rows] for spec, distinct in vectors.items()}
    return vectors


def _windows(embedder: Embedder, first: dict[str, int], appends_eos: bool) -> Iterator[tuple[int, Sequences]]:
    """Tokenized texts by windows, each with its first row; the next is tokenized while one is computed."""
    texts, numbers = list(first), list(first.values())

    def tokenized(start: int) -> Sequences:
        window = slice(start, start + WINDOW)
        return embedder.tokenize(texts[window], appends_eos, numbers[window])

    if len(texts) <= WINDOW:  # nothing to overlap with; a thread would cost more than a few texts do
        yield 0, tokenized(0)
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(tokenized, 0)
        for start in range(0, len(texts), WINDOW):
            sequences = following.result()
            if start + WINDOW < len(texts):
                following = thread.submit(tokenized, start + WINDOW)
            yield start, sequences


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; (n, dim) → (n, dim) float32."""
    length: np.ndarray = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.maximum(length, 1e-12)
    return scaled
