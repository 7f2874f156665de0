"""A chunk of rows → a shard: each distinct text once, the same table for the same rows wherever it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lastword.console import progress
from lastword.corpus.pieces import kept, pieces, size_of
from lastword.corpus.reuse import Earlier
from lastword.corpus.texts import Corpus, Rejected, Rows, no_text, require_new
from lastword.corpus.vectors import VectorFormat
from lastword.corpus.windows import PerWindow
from lastword.encoder import TextEncoder, checked_dim, encode_distinct
from lastword.errors import DivergenceError, RequestError, WorkError, first_line
from lastword.files.plain_json import json_text
from lastword.geometry import unit

ROLE = "document"
WINDOW = 4096
"""Texts that the model gets together; the first ones of a corpus decide the range of int8."""
_METADATA = b"lastword.vectors"  # key in the metadata of a shard
_MOST_REFUSED = 100  # texts of a piece


@dataclass(frozen=True)
class Encoded:
    """A window of texts.

    Attributes:
        texts: n distinct texts, or windows of texts.
        vectors: (m, dim) float32, of those that the model took.
        refused: the n - m others, each with the reason.
    """

    texts: list[Any]
    vectors: np.ndarray
    refused: dict[Any, str]


@dataclass(frozen=True)
class Shard:
    """What a chunk became.

    Attributes:
        number: of the chunk.
        read: rows of the chunk.
        rejected: those without a vector.
        table: the columns and vectors of the others.
        facts: counts, JSON values.
    """

    number: int
    read: int
    rejected: list[Rejected]
    table: pa.Table
    facts: dict[str, Any]


@dataclass(frozen=True)
class ChunkEncoder:
    """Rows → a shard.

    Attributes:
        encoder: the model.
        vectors: how vectors are stored.
        column: name of their column.
        first: the first window of the corpus, which need not be encoded again.
        earlier: texts that have a vector.
        per_window: cuts rows into one for each window; None leaves them as they are.
        unfinished: folder for the vectors of a shard that is being made; None keeps none.
    """

    encoder: TextEncoder
    vectors: VectorFormat
    column: str
    first: Encoded | None = None
    earlier: Earlier | None = None
    per_window: PerWindow | None = None
    unfinished: Path | None = None

    def __call__(self, rows: Rows) -> Shard:
        """Encode a chunk."""
        require_new(rows.table, self.column, "the input")
        read = rows.read
        rows, encoded = self.per_window.split(self.encoder, rows) if self.per_window else (rows, rows.texts)
        texts = list(dict.fromkeys(encoded))
        stored: dict[Any, np.ndarray] = self.earlier.find(texts) if self.earlier else {}
        known, refused, clipped = set(stored), dict[Any, str](), 0
        new = [text for text in texts if text not in known]
        with progress("embedding", len(new), WINDOW) as advance:
            for window in self._windows(new):
                refused |= window.refused
                vectors = shortened(window.vectors, self.vectors.dim)
                clipped += self.vectors.clipped(vectors)
                taken = [text for text in window.texts if text not in window.refused]
                stored |= dict(zip(taken, self.vectors.store(vectors), strict=True))
                advance(len(window.texts))
        rows = rows.without(
            {row: refused[text] for row, text in enumerate(encoded) if text in refused} if refused else {}
        )
        encoded = [text for text in encoded if text not in refused]
        column = np.empty((len(encoded), self.vectors.width), self.vectors.stored_dtype)
        for row, text in enumerate(encoded):
            column[row] = stored[text]
        table = rows.table.append_column(self.column, self.vectors.column(column))
        facts = {
            "embedded": len(texts) - len(known) - len(refused), "clipped": clipped,
            "reused": sum(text in known for text in encoded),
            "rejected": dict(Counter(rejected.reason for rejected in rows.rejected)),
        }  # fmt: skip
        metadata = {_METADATA: json_text(self.vectors.to_dict()).encode()}
        return Shard(rows.number, read, rows.rejected, table.replace_schema_metadata(metadata), facts)

    def _windows(self, texts: list[Any]) -> Iterator[Encoded]:
        role = self.per_window.role if self.per_window else ROLE
        for start in range(0, len(texts), WINDOW):
            window = texts[start : start + WINDOW]
            same = self.first and self.first.texts == window
            if same and self.first:
                yield self.first
            else:
                yield encode_window(self.encoder, window, role, self.unfinished)


def local_shards(corpus: Corpus, encode: ChunkEncoder, done: frozenset[int]) -> Iterator[Shard]:
    """Encode the chunks that are not done, in this process; the next one is read meanwhile."""
    chunks = corpus.chunks()
    with ThreadPoolExecutor(max_workers=1) as thread:
        reading = thread.submit(next, chunks, None)
        while (rows := reading.result()) is not None:
            reading = thread.submit(next, chunks, None)
            if rows.number not in done:
                yield encode(rows)


def encode_window(
    encoder: TextEncoder, texts: list[Any], role: str = ROLE, unfinished: Path | None = None
) -> Encoded:
    """Embed distinct texts, in pieces; those that the model refuses, such as one without a token, are left out.

    Args:
        encoder: the model.
        texts: n distinct texts, or windows of texts.
        role: how they are embedded.
        unfinished: folder for the vectors of each piece; None keeps none.

    Raises:
        RequestError, WorkError: it refuses many.
    """
    refused: dict[Any, str] = {}
    rows: list[int] = []
    parts = []
    cut = [(piece, sum(size_of(texts[row]) for row in piece)) for piece in pieces(texts)]
    sizes = [size for _, size in cut]
    with progress("embedding", sum(sizes), max(sizes)) as advance:
        for piece, size in cut:
            part = [texts[row] for row in piece]
            vectors, others = kept(unfinished, part, lambda part: _encoded(encoder, part, role))
            refused |= others
            rows += [row for row in piece if texts[row] not in others]
            if len(vectors):
                parts.append(vectors)
            advance(size)
    ordered = np.concatenate(parts)[np.argsort(rows)] if parts else np.empty((0, 0), np.float32)
    return Encoded(texts, ordered, refused)


def _encoded(encoder: TextEncoder, texts: Sequence[Any], role: str) -> tuple[np.ndarray, dict[Any, str]]:
    """Vectors of the texts that the model takes; the others are found by halving, each with the reason."""
    refused: dict[Any, str] = {}

    def encode(part: Sequence[Any]) -> list[np.ndarray]:
        try:
            return [np.asarray(encode_distinct(encoder, part, role), np.float32)]
        except (RequestError, WorkError) as error:
            if len(part) > 1:
                half = len(part) // 2
                return encode(part[:half]) + encode(part[half:])
            refused[part[0]] = _reason(error)
            if len(refused) > _MOST_REFUSED:
                raise
            return []

    parts = encode(texts)
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32), refused


def _reason(error: Exception) -> str:
    """Why a text has no vector, in few words where lastword's own models say it, else in the encoder's."""
    if isinstance(error, DivergenceError):
        return "no finite vector"
    return "no token" if "adds no token" in str(error) else first_line(error)


def shortened(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The first dimensions, scaled to length 1; vectors of `dim` dimensions are unchanged."""
    if not len(vectors):
        return np.empty((0, dim), np.float32)
    return vectors if vectors.shape[1] == dim else unit(vectors[:, :dim])


def calibrate(
    corpus: Corpus,
    encoder: TextEncoder,
    dtype: str,
    truncate_dim: int | None,
    per_window: PerWindow | None = None,
    unfinished: Path | None = None,
) -> tuple[VectorFormat, Encoded]:
    """The format of the vectors, and the first window of texts, which decide it.

    Raises:
        RequestError: vectors have fewer dimensions than `truncate_dim`.
        TableError: no row has a usable text.
    """
    reasons: Counter[str] = Counter()
    for rows in corpus.chunks():
        reasons.update(rejected.reason for rejected in rows.rejected)
        texts: Sequence[Any] = rows.texts
        if per_window and texts:
            _, texts = per_window.split(encoder, rows)
        window = list(dict.fromkeys(texts))[:WINDOW]
        role = per_window.role if per_window else ROLE
        with progress(
            "embedding", len(window), WINDOW
        ):  # counts texts; the progress inside counts characters
            encoded = encode_window(encoder, window, role, unfinished) if window else None
        if encoded and len(encoded.vectors):
            dim = encoded.vectors.shape[1]
            vectors = shortened(encoded.vectors, checked_dim(encoder, truncate_dim, dim))
            return VectorFormat.calibrated(dtype, vectors), encoded
        reasons.update(encoded.refused.values() if encoded else ())
    raise no_text(corpus.text_column, reasons)
