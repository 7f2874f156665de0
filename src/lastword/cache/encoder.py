"""A text encoder behind a vector cache: each text is embedded once, for all tasks and all later runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import cast

import numpy as np

from lastword.cache.folder import VectorCache
from lastword.cache.vectors import VectorFile
from lastword.console import progress
from lastword.encoder import ManyPooled, TextEncoder, Wrapper, checked

_LOOKUP_TEXTS = 512  # texts in one query of the cache
_FIRST_BATCH = 256  # texts; later batches are sized to take `_BATCH_S`
_MIN_BATCH, _MAX_BATCH = 32, 16_384
_BATCH_S = 20.0  # work that is lost if the process is killed


class CachedEncoder(Wrapper):
    """A text encoder behind a vector cache.

    Each vector must depend on its own text alone, as those of a model do; TF-IDF that is fitted to the texts
    it embeds cannot be cached.

    Attributes:
        encoder: embeds the texts that are not in the cache; the other vectors of a `ManyPooled` are cached too.
        cache: where vectors are looked up and stored.
        encoded: number of texts that the encoder has embedded so far.
        found: number of texts whose vector was in the cache.
    """

    encoder: TextEncoder

    def __init__(self, encoder: TextEncoder, cache: VectorCache) -> None:
        self.encoder, self.cache = encoder, cache
        self.encoded = self.found = 0

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32, in the order of the texts.

        Vectors are cached batch by batch, so that an interrupted run resumes.
        """
        return self._cached(texts, "")

    def encode_query(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the encoder's prompt for queries if it has one."""
        return self._cached(texts, "query")

    def encode_document(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the encoder's prompt for documents if it has one."""
        return self._cached(texts, "document")

    def _cached(self, texts: Sequence[str], role: str) -> np.ndarray:
        role = role if hasattr(self.encoder, f"encode_{role}") else ""
        row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        distinct = list(row_of)
        if not distinct:
            return self.encoder.encode(distinct)
        others = () if role else getattr(self.encoder, "others", ())
        identities = (f"{self.identity}/{role}" if role else self.identity, *others)
        with ExitStack() as stack:
            opened = (self.cache.open(identity, self.name or identity) for identity in identities)
            files = [stack.enter_context(file) for file in opened]
            vectors, missing = _look_up(files[0], distinct)
            self.found += len(distinct) - len(missing)
            for rows, batch in self._embed_missing(distinct, missing, files, role):
                if vectors is None:
                    vectors = np.empty((len(distinct), batch.shape[1]), np.float32)
                vectors[rows] = batch
        assert vectors is not None
        return vectors[[row_of[text] for text in texts]]

    def _embed_missing(
        self, texts: Sequence[str], missing: Sequence[int], files: Sequence[VectorFile], role: str
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embed the missing rows of distinct texts; each batch is cached before it is yielded."""
        # Longest first: rows of one length share a batch, and the time left is not too short.
        missing = sorted(missing, key=lambda row: -len(texts[row]))
        start, size = 0, _FIRST_BATCH
        with progress("embedding", len(missing)) as advance:
            while start < len(missing):
                rows, started = missing[start : start + size], time.monotonic()
                vectors = self._embed([texts[row] for row in rows], files, role)
                self.encoded += len(rows)
                yield rows, vectors
                advance(len(rows))
                start, size = start + size, _next_size(len(rows), time.monotonic() - started)

    def _embed(self, texts: list[str], files: Sequence[VectorFile], role: str) -> np.ndarray:
        """Embed distinct texts and cache the vectors in every file; return those of the first, (n, dim) float32."""
        if len(files) > 1:
            vectors = cast(ManyPooled, self.encoder).encode_all(texts)
        else:
            encode = getattr(self.encoder, f"encode_{role}" if role else "encode")
            vectors = {files[0].identity: encode(texts)}
        for file in files:
            vectors[file.identity] = np.asarray(checked(vectors[file.identity], len(texts)), np.float32)
            file.put(texts, vectors[file.identity])
        return vectors[files[0].identity]


def _look_up(file: VectorFile, texts: Sequence[str]) -> tuple[np.ndarray | None, list[int]]:
    """Vectors of the texts, (n, dim) with undefined rows for the missing ones, and the missing rows."""
    vectors: np.ndarray | None = None
    missing = []
    for start in range(0, len(texts), _LOOKUP_TEXTS):
        block = texts[start : start + _LOOKUP_TEXTS]
        cached = file.get(block)
        for row, text in enumerate(block, start):
            if (vector := cached.get(text)) is None:
                missing.append(row)
                continue
            if vectors is None:
                vectors = np.empty((len(texts), len(vector)), np.float32)
            vectors[row] = vector
    return vectors, missing


def _next_size(texts: int, seconds: float) -> int:
    """Texts of the next batch, so that it takes `_BATCH_S`."""
    return max(_MIN_BATCH, min(_MAX_BATCH, int(texts * _BATCH_S / max(seconds, 1e-3))))
