"""Vectors that are in a file already, as an encoder of the texts beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lastword.errors import RequestError, TableError
from lastword.files.plain_json import json_text
from lastword.files.tables import require_columns
from lastword.files.typed import join_tables, read_table

MANIFEST = "_manifest.json"
"""The file in a folder that `lastword embed` writes."""
GROUPED = "vectors"
"""The folder of the store in what `lastword cluster` writes of texts."""
COLUMNS = ("text", "vector")
"""Columns of the texts and of the vectors in a file."""
_TYPES = ("float32", "float16")


class StoredVectors:
    """The vectors of a table, or of what `lastword embed` wrote, looked up by their texts.

    Args:
        source: a table with the columns text and vector (lists of numbers), or a folder of `lastword embed`.

    Raises:
        MissingFileError, TableError: the file cannot be read, or its vectors differ in length.
        RequestError: a folder whose vectors are stored in fewer bits, or in a LanceDB table.
    """

    def __init__(self, source: str | Path) -> None:
        self.name = str(source)
        texts, self._vectors = _read(Path(source))
        self._rows = {text: row for row, text in enumerate(texts)}

    @property
    def identity(self) -> str:
        """Hash of texts and vectors."""
        digest = hashlib.sha256(json_text(list(self._rows)).encode())
        digest.update(self._vectors.tobytes())
        return f"stored-{digest.hexdigest()}"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32; see `require`."""
        self.require(texts)
        return self._vectors[[self._rows[text] for text in texts]]

    def require(self, texts: Sequence[str]) -> None:
        """Refuse texts that have no vector.

        Raises:
            RequestError: see the message.
        """
        if missing := [text for text in dict.fromkeys(texts) if text not in self._rows]:
            raise RequestError(
                f"{self.name} has no vectors of {len(missing):,} of {len(set(texts)):,} texts, such as "
                f"{missing[0][:60]!r}: embed all of them"
            )


def store_in(folder: str | Path) -> Path | None:
    """The folder that `lastword embed` wrote: the one given, or that in what `lastword cluster` wrote of texts."""
    folders = (Path(folder), Path(folder) / GROUPED)
    return next((each for each in folders if (each / MANIFEST).is_file()), None)


def is_stored(source: str | Path) -> bool:
    """Whether a path is a file that is no model, or a folder with a store."""
    path = Path(source)
    return (path.is_file() and path.suffix != ".gguf") or store_in(path) is not None


def check_stored(source: str | Path) -> None:
    """Refuse a file without texts and vectors by its beginning, and a folder whose vectors are not floats.

    Raises:
        TableError, RequestError: see the message.
    """
    if folder := store_in(source):
        _files(folder)
    else:
        require_columns(source, COLUMNS)


def _files(folder: Path) -> tuple[list[Path], tuple[str, str]]:
    """The files of a folder of `lastword embed`, and the columns of texts and vectors."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    layout, stored = manifest["layout"], manifest["vectors"]
    if stored["dtype"] not in _TYPES or layout == "lance":
        kind = f"layout {layout}" if layout == "lance" else f"vectors of type {stored['dtype']}"
        raise RequestError(f"{folder} has {kind}: embed the texts again as float32 Parquet, the default")
    files = list(dict.fromkeys(folder / shard["file"] for shard in manifest["shards"]))
    return files, (manifest["text_column"], stored["column"])


def _read(source: Path) -> tuple[list[str], np.ndarray]:
    """n texts and (n, dim) float32."""
    source = store_in(source) or source
    files, (text, vector) = _files(source) if source.is_dir() else ([source], COLUMNS)
    if (beside := source / "vectors.npy").is_file():
        texts, vectors = read_table(files[0], [text])[text].to_pylist(), np.load(beside)
    else:
        table = join_tables([read_table(file, [text, vector]) for file in files])
        texts, vectors = table[text].to_pylist(), _matrix(table[vector], source)
    if len(texts) != len(vectors):
        raise TableError(f"{source} has {len(vectors):,} vectors for {len(texts):,} texts: embed them again")
    vectors = np.asarray(vectors, np.float32)
    if wrong := int((~np.isfinite(vectors).all(1)).sum()):
        raise TableError(
            f"{source}: {wrong:,} of {len(vectors):,} vectors have values that are not finite: embed the texts again"
        )
    return texts, vectors


def _matrix(column: pa.ChunkedArray, source: Path) -> np.ndarray:
    """A column of lists of numbers as (n, dim)."""
    try:
        rows = [np.asarray(cell, np.float32) for cell in column.to_pylist()]
    except (TypeError, ValueError):
        rows = []
    lengths = sorted({row.shape for row in rows})
    if len(lengths) != 1 or len(lengths[0]) != 1 or lengths == [(0,)]:
        found = "others"
        if all(lengths) and len(lengths) > 1:
            found = f"vectors of {lengths[0][0]} and of {lengths[-1][0]} numbers"
        elif lengths == [(0,)]:
            found = "empty ones"
        raise TableError(
            f"{source}: the column vector must have lists of numbers of one length, and has {found}"
        )
    return np.stack(rows)
