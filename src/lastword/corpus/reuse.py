"""Vectors of texts that were embedded before: found by the hash of the text, from an index on the disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lastword.corpus.store import Store

_BUCKET_ROWS = 1 << 20  # of the index that are sorted in memory
_ENTRY = np.dtype([("hash", "<u8"), ("row", "<i8")])


class Earlier:
    """The texts of stores with the same model and the same format of vectors.

    Args:
        folder: for the index, which is made if it is not there.
        stores: where the vectors are; their rows are numbered through.
    """

    def __init__(self, folder: Path, stores: Sequence[Store]) -> None:
        self.folder, self.stores = folder, tuple(stores)
        self._starts = np.cumsum([0, *(len(store) for store in stores)])
        self._buckets = max(1, -(-int(self._starts[-1]) // _BUCKET_ROWS))
        if not folder.exists():
            self._write(folder)
        self._index = [
            np.memmap(path, _ENTRY, "r")
            if (path := folder / str(bucket)).stat().st_size
            else np.empty(0, _ENTRY)
            for bucket in range(self._buckets)
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        return Earlier, (self.folder, self.stores)

    def find(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Text → its vector as it is stored, (width,), for those of n texts that a store has."""
        hashes = _hashes(texts)
        rows = np.full(len(texts), -1, np.int64)
        for bucket, entries in enumerate(self._index):
            (asked,) = (hashes % self._buckets == bucket).nonzero()
            if not len(entries) or not len(asked):
                continue
            at = np.minimum(np.searchsorted(entries["hash"], hashes[asked]), len(entries) - 1)
            hit = entries["hash"][at] == hashes[asked]
            rows[asked[hit]] = entries["row"][at[hit]]
        found: dict[str, np.ndarray] = {}
        for number, store in enumerate(self.stores):
            inside = rows[(rows >= self._starts[number]) & (rows < self._starts[number + 1])]
            if len(inside):
                table = store.take(inside - self._starts[number], [store.text_column, store.vector_column])
                found |= dict(zip(table[store.text_column].to_pylist(), store.stored(table), strict=True))
        asked_texts = set(texts)  # two texts may have the same hash
        return {text: vector for text, vector in found.items() if text in asked_texts}

    def _write(self, folder: Path) -> None:
        """Write the entries to files by their hash, then sort each file."""
        temporary = folder.with_name(folder.name + ".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        paths = [temporary / str(bucket) for bucket in range(self._buckets)]
        for path in paths:
            path.touch()
        for entries in self._entries():
            bucket_of = entries["hash"] % self._buckets
            for bucket, path in enumerate(paths):
                with path.open("ab") as file:
                    file.write(entries[bucket_of == bucket].tobytes())
        for path in paths:
            entries = np.fromfile(path, _ENTRY)
            entries[np.argsort(entries["hash"], kind="stable")].tofile(path)
        temporary.rename(folder)

    def _entries(self) -> Iterator[np.ndarray]:
        row = 0
        for store in self.stores:
            for table in store.shards([store.text_column]):
                entries = np.empty(table.num_rows, _ENTRY)
                entries["hash"] = _hashes(table[store.text_column].to_pylist())
                entries["row"] = np.arange(row, row + table.num_rows)
                row += table.num_rows
                yield entries


def _hashes(texts: Sequence[str]) -> np.ndarray:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8")


def parts_as_store(folder: Path, parts: Sequence[tuple[str, int]], like: dict[str, object]) -> Store:
    """Files of an interrupted run as a store.

    Args:
        folder: where they are.
        parts: name and rows of each.
        like: `vectors` and `text_column` of a manifest.
    """
    shards = [{"file": name, "rows": rows} for name, rows in parts if rows]
    return Store(
        folder, {**like, "layout": "parquet", "rows": sum(rows for _, rows in parts), "shards": shards}
    )
