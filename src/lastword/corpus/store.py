"""A store: the vectors of a corpus, and its rows, in a folder with a manifest; opened by whatever uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lastword.arguments import as_path, require_list, whole_number
from lastword.corpus.layouts import LAYOUTS, VECTORS
from lastword.corpus.texts import LabelledTexts
from lastword.corpus.vectors import VectorFormat
from lastword.encoder import TextEncoder
from lastword.encoders.stored import MANIFEST, store_in
from lastword.errors import MissingFileError, ModelError, RequestError, unknown_name
from lastword.files.run_folder import write_json

# Readers of folders of Parquet files leave out names that begin with "_".
REJECTED = "_rejected.jsonl"
FORMAT = 1
"""Version of the layout."""
_SHARDS_IN_MEMORY = 4


@dataclass(frozen=True)
class Store:
    """Vectors and rows of a corpus.

    Attributes:
        folder: where it is.
        manifest: what is known of it, JSON values: `model` (name, identity, how it is loaded), `vectors` (column,
            dtype, dim, calibration), `text_column`, `layout`, `columns`, `rows`, `shards` (file and rows of each),
            `inputs` (file → fingerprint), `counts`.
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path, model: TextEncoder | None = None) -> Store:
        """Open a store.

        Args:
            folder: what `embed_corpus` wrote, or `cluster_corpus` of texts.
            model: refuse a store whose vectors are of another model.

        Raises:
            MissingFileError: no such folder, or no store.
            ModelError: the vectors are of another model.
        """
        path = store_in(as_path("folder", folder))
        if path is None:
            found = "has no manifest" if Path(folder).is_dir() else "does not exist"
            raise MissingFileError(f"{folder} {found}: give a folder that `lastword embed` wrote")
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] > FORMAT:
            raise RequestError(
                f"{folder} was written by a newer lastword (format {manifest['format']}, this one knows {FORMAT}): "
                "update lastword"
            )
        store = cls(path, manifest)
        if model is not None:
            store.require_model(model)
        return store

    def require_model(self, model: TextEncoder) -> None:
        """Refuse a model that did not make the vectors.

        Raises:
            ModelError: see the message.
            RequestError: it is no model, but a name perhaps.
        """
        if not hasattr(model, "identity"):
            raise RequestError(f"model={model!r}: give a loaded model, such as Embedder.from_pretrained(…)")
        if self.identity != model.identity:
            name = getattr(model, "name", None) or model.identity
            settings = "the same model with other settings" if name == self.model else f"not {name}"
            raise ModelError(
                f"{self.folder} has vectors of {self.model} ({self.identity[:12]}), {settings} "
                f"({model.identity[:12]}); give the model and settings that it was made with"
            )

    def __reduce__(self) -> tuple[Any, ...]:  # without what is cached
        return Store, (self.folder, self.manifest)

    def __len__(self) -> int:
        return int(self.manifest["rows"])

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.manifest["model"]["name"])

    @property
    def identity(self) -> str:
        """Identity of the model."""
        return str(self.manifest["model"]["identity"])

    @property
    def text_column(self) -> str:
        """Column of the texts."""
        return str(self.manifest["text_column"])

    @property
    def vector_column(self) -> str:
        """Column of the vectors."""
        return str(self.manifest["vectors"]["column"])

    @cached_property
    def vector_format(self) -> VectorFormat:
        """How the vectors are stored."""
        return VectorFormat.from_dict(self.manifest["vectors"])

    @property
    def columns(self) -> list[str]:
        """All columns but that of the vectors."""
        return list(self.manifest["columns"])

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows, a shard at a time, in the order of the inputs.

        Args:
            columns: which; None is all, the vectors included.
        """
        for number in range(len(self.manifest["shards"])):
            yield self.shard(number, columns)

    def shard(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of one shard.

        Raises:
            RequestError: no such shard or column.
        """
        count = len(self.manifest["shards"])
        if whole_number("number", number, 0) >= count:
            raise RequestError(f"number={number}: {self.folder} has {count} shards, from 0 on")
        self._require_columns(columns)
        layout = LAYOUTS[self.manifest["layout"]]
        return layout.read(self.folder, self.manifest["shards"][number], columns, self.vector_column)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows; `columns` None is all but the vectors."""
        return pa.concat_tables(self.shards(self.columns if columns is None else columns))

    def labelled(self, label_column: str | None) -> LabelledTexts:
        """Yield the texts of each shard, with the cells of their labels."""
        for table in self.shards([self.text_column, *([label_column] if label_column else [])]):
            yield table[self.text_column].to_pylist(), table[label_column].to_pylist() if label_column else []

    def vectors(self) -> Iterator[np.ndarray]:
        """Yield (n, dim) float32, a shard at a time, in constant memory."""
        for table in self.shards([self.vector_column]):
            yield self.vector_format.restore(self.stored(table))

    def matrix(self) -> np.ndarray:
        """All vectors, (rows, dim) float32: a memory map of a store in `.npy` with float32, else in memory."""
        if (self.folder / VECTORS).exists() and self.vector_format.dtype == "float32":
            mapped: np.ndarray = np.load(self.folder / VECTORS, mmap_mode="r")
            return mapped
        matrix = np.empty((len(self), self.vector_format.dim), np.float32)
        start = 0
        for vectors in self.vectors():
            matrix[start : start + len(vectors)] = vectors
            start += len(vectors)
        return matrix

    def stored(self, table: pa.Table) -> np.ndarray:
        """The vectors of a table of rows as they are stored, (n, width)."""
        return self.vector_format.from_column(table[self.vector_column])

    def take(self, rows: Sequence[int] | np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows by their numbers, from 0; fast for those of few shards.

        Args:
            rows: n numbers, in any order.
            columns: which; None is all.

        Raises:
            RequestError: no such row or column.
        """
        self._require_columns(columns)
        rows = np.asarray(rows)
        if rows.ndim != 1 or (len(rows) and not np.issubdtype(rows.dtype, np.integer)):
            raise RequestError(
                f"rows is an array of {rows.dtype}, {rows.ndim} dimensions: give a list of whole numbers"
            )
        if len(wrong := rows[(rows < 0) | (rows >= len(self))]):
            raise RequestError(f"rows has {wrong[0]}: {self.folder} has {len(self):,} rows, from 0 on")
        if not len(rows):
            return self.shard(0, columns).slice(0, 0)
        shard_of = np.searchsorted(self._ends, rows, side="right")
        chosen = [int(shard) for shard in np.unique(shard_of)]
        tables, order = [], []
        for shard in chosen:
            (at,) = (shard_of == shard).nonzero()
            start = 0 if shard == 0 else int(self._ends[shard - 1])
            tables.append(
                self._recent(shard, None if columns is None else tuple(columns)).take(rows[at] - start)
            )
            order.append(at)
        back = np.empty(len(rows), np.int64)
        back[np.concatenate(order)] = np.arange(len(rows))
        return pa.concat_tables(tables).take(back)

    def _require_columns(self, columns: Sequence[str] | None) -> None:
        if columns is None or "columns" not in self.manifest:  # the parts of an interrupted run
            return
        require_list("columns", columns, strings=True)
        known = [*self.columns, self.vector_column]
        if unknown := next((name for name in columns if name not in known), None):
            raise RequestError(unknown_name("column", unknown, known))

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([shard["rows"] for shard in self.manifest["shards"]])

    @cached_property
    def _recent(self) -> Any:
        return lru_cache(_SHARDS_IN_MEMORY)(self.shard)


def record_model(folder: Path, model: Path) -> None:
    """Record where the model of a store is now, if it was moved after it made the vectors.

    Args:
        folder: of the store.
        model: the folder of the model.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["model"] |= {
        "name": str(model),
        "loading": (manifest["model"]["loading"] or {}) | {"model": str(model)},
    }
    write_json(folder / MANIFEST, manifest)
