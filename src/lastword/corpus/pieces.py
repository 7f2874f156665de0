"""A window of texts in pieces, each kept on the disk until its shard is written: a killed run loses one piece.

A shard that ended after some time would have other rows on a faster machine. Pieces depend on the texts alone and go
through the model one by one, so the vectors of a resumed run are those of an uninterrupted one, rounding included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lastword.corpus.vectors import VectorFormat
from lastword.files.chunk_run import read_part, write_part
from lastword.files.run_folder import hash_of

UNFINISHED = "unfinished"
"""Folder of the pieces of a shard, inside the run folder."""
CHARACTERS = 1 << 17
"""Of the texts of a piece: some 30,000 tokens, a minute of a decoder of 135M parameters on a CPU."""
WORTH_S = 0.2
"""A piece that takes less time is not kept: writing it would slow a fast model."""
_TEMPLATE = 64  # characters that a template counts for, beside those of the text
_LEAST = 16  # texts of a piece, however long they are: most are truncated, and a GPU needs so many at a time
Piece = tuple[np.ndarray, dict[Any, str]]
"""(m, dim) float32 of the texts that the model took, in their order, and the reason for each of the others."""


def pieces(texts: Sequence[Any]) -> Iterator[list[int]]:
    """Yield the rows of each piece: texts of about equal length, so that little is padded, the longest first.

    Args:
        texts: n texts, or `Window`s of texts; those of one text stay together.
    """
    sizes = [size_of(text) for text in texts]
    rows: list[int] = []
    if sum(sizes) > CHARACTERS:
        wholes = [getattr(text, "text", text) for text in texts]
        size = 0
        for row in sorted(range(len(texts)), key=lambda row: -len(wholes[row])):
            full = len(rows) >= _LEAST and size + sizes[row] > CHARACTERS
            if full and wholes[row] != wholes[rows[-1]]:
                yield rows
                rows, size = [], 0
            rows.append(row)
            size += sizes[row]
    yield rows or list(range(len(texts)))


def size_of(text: Any) -> int:
    """Characters that a text, or a `Window` of one, counts for."""
    return _TEMPLATE + len(getattr(text, "part", text))


def kept(folder: Path | None, texts: Sequence[Any], encode: Callable[[Sequence[Any]], Piece]) -> Piece:
    """Encode a piece, or read it if an interrupted run has encoded it.

    Args:
        folder: of the pieces; None keeps none.
        texts: of the piece.
        encode: texts → vectors.
    """
    path = folder and folder / f"part-{hash_of(list(texts))}.parquet"
    if path and path.exists():
        part = read_part(path)
        refused = {texts[row]: reason for row, reason in part.facts["refused"]}
        return VectorFormat("float32", part.facts["dim"]).from_column(part.table()["vector"]), refused
    began = time.monotonic()
    vectors, refused = encode(texts)
    if path and len(vectors) and time.monotonic() - began >= WORTH_S:
        path.parent.mkdir(exist_ok=True)
        dim = vectors.shape[1]
        reasons = [[row, refused[text]] for row, text in enumerate(texts) if text in refused]
        table = pa.table({"vector": VectorFormat("float32", dim).column(vectors)})
        write_part(path, table, {"refused": reasons, "dim": dim}, len(texts), len(refused))
    return vectors, refused
