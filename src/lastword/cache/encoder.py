"""An encoder that remembers: each text is embedded once, for all tasks and all later runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, cast

import numpy as np

from lastword.cache.folder import VectorCache
from lastword.cache.vectors import VectorFile
from lastword.console import progress
from lastword.encoder import ManyPooled, TextEncoder, checked, encode_distinct

_LOOKED_UP = 512  # texts in one question to the cache
_FIRST_BATCH = 256  # texts; later batches are as long as takes `_BATCH_S`
_MOST_TEXTS = 16_384
_BATCH_S = 20.0  # what a kill may cost


class CachedEncoder:
    """A text encoder in front of a cache.

    Each vector must depend on its own text alone, as those of a model do; word counts that fit themselves to
    the texts they see do not.

    What an encoder of many poolings gives beside its own vectors is kept for the encoders that ask for it later.

    Attributes:
        encoder: what is asked for the texts that the cache does not hold; a `ManyPooled` fills the shelves of
            others as well.
        cache: where vectors are looked up and kept.
        encoded: texts that the encoder embedded so far.
        found: texts whose vector was there.
    """

    def __init__(self, encoder: TextEncoder, cache: VectorCache) -> None:
        self.encoder, self.cache = encoder, cache
        self.encoded = self.found = 0

    @property
    def identity(self) -> str:
        """The encoder's own."""
        return self.encoder.identity

    @property
    def name(self) -> str | None:
        """The encoder's own, if it has one."""
        return getattr(self.encoder, "name", None)

    @property
    def spec(self) -> Any:
        """The encoder's own, if it has one."""
        return getattr(self.encoder, "spec", None)

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32, in the order of the texts.

        What is embedded is kept batch by batch, so that an interrupted run does not begin again.
        """
        row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        distinct = list(row_of)
        if not distinct:
            return self.encoder.encode(distinct)
        with ExitStack() as stack:
            shelf, *others = (stack.enter_context(self._shelf(identity)) for identity in self._identities())
            vectors, missing = _look_up(shelf, distinct)
            self.found += len(distinct) - len(missing)
            for rows, fresh in self._fresh(distinct, missing, [shelf, *others]):
                if vectors is None:
                    vectors = np.empty((len(distinct), fresh.shape[1]), np.float32)
                vectors[rows] = fresh
        assert vectors is not None
        return vectors[[row_of[text] for text in texts]]

    def _fresh(
        self, texts: Sequence[str], missing: Sequence[int], shelves: Sequence[VectorFile]
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embed the missing rows of distinct texts, batch by batch, each kept before it is given."""
        # Longest first, so that batches of one length stay together and the time left is no promise
        # that the long texts break.
        missing = sorted(missing, key=lambda row: -len(texts[row]))
        start, size = 0, _FIRST_BATCH
        with progress("embedding", len(missing)) as advance:
            while start < len(missing):
                rows, began = missing[start : start + size], time.monotonic()
                fresh = self._embed([texts[row] for row in rows], shelves)
                self.encoded += len(rows)
                yield rows, fresh
                advance(len(rows))
                start, size = start + size, _next_size(len(rows), time.monotonic() - began)

    def _identities(self) -> tuple[str, ...]:
        return (self.identity, *getattr(self.encoder, "others", ()))

    def _shelf(self, identity: str) -> VectorFile:
        return self.cache.open(identity, self.name or identity)

    def _embed(self, texts: list[str], shelves: Sequence[VectorFile]) -> np.ndarray:
        """The encoder's own vectors of distinct texts, (n, dim) float32; they and the others' go to their shelves."""
        if len(shelves) == 1:
            vectors = {self.identity: encode_distinct(self.encoder, texts)}
        else:
            vectors = cast(ManyPooled, self.encoder).encode_all(texts)
        for shelf in shelves:
            vectors[shelf.identity] = np.asarray(checked(vectors[shelf.identity], len(texts)), np.float32)
            shelf.put(texts, vectors[shelf.identity])
        return vectors[self.identity]


def _look_up(shelf: VectorFile, texts: Sequence[str]) -> tuple[np.ndarray | None, list[int]]:
    """Vectors of the texts, (n, dim) with undefined rows for the missing ones, and which rows these are."""
    vectors: np.ndarray | None = None
    missing = []
    for start in range(0, len(texts), _LOOKED_UP):
        asked = texts[start : start + _LOOKED_UP]
        found = shelf.get(asked)
        for row, text in enumerate(asked, start):
            if (vector := found.get(text)) is None:
                missing.append(row)
                continue
            if vectors is None:
                vectors = np.empty((len(texts), len(vector)), np.float32)
            vectors[row] = vector
    return vectors, missing


def _next_size(texts: int, seconds: float) -> int:
    return max(32, min(_MOST_TEXTS, int(texts * _BATCH_S / max(seconds, 1e-3))))
