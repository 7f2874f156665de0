"""File formats of a store: how shards are written to its folder, and how one is read back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from lastword.corpus.vectors import VectorFormat
from lastword.extras import needed
from lastword.files.chunk_run import Part, write_part
from lastword.files.typed import with_schema

VECTORS, ROWS = "vectors.npy", "rows.parquet"
"""Files of the layout "npy": the vectors, and the other columns."""
TABLE = "rows"
"""Table of the layout "lance", which LanceDB opens in the folder of the store."""
ShardFacts = dict[str, Any]
"""What the manifest has about a shard: `file`, `rows`, and `start`, the number of its first row."""


@dataclass(frozen=True)
class Content:
    """What is written.

    Attributes:
        parts: those with rows, in their order.
        schema: the columns that all shards get.
        column: that of the vectors.
        vectors: how they are stored.
    """

    parts: Sequence[Part]
    schema: pa.Schema
    column: str
    vectors: VectorFormat

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.results for part in self.parts)

    def tables(self) -> Iterator[pa.Table]:
        """The rows of each part, with equal columns."""
        for part in self.parts:
            yield with_schema(part.table(), self.schema)


@dataclass(frozen=True)
class Layout:
    """A file format.

    Attributes:
        write: content and an empty folder → the name of the file of each part.
        read: folder, facts of a shard, its columns (None for all) and that of the vectors → its rows.
        library: what it needs beside those of every install.
    """

    write: Callable[[Content, Path], list[str]]
    read: Callable[[Path, ShardFacts, Sequence[str] | None, str], pa.Table]
    library: str = ""

    def require(self) -> None:
        """Refuse a format whose library is missing.

        Raises:
            MissingExtraError: see the message.
        """
        if self.library:
            needed(self.library, "lance", "this format of a store")


def _write_parquet(content: Content, folder: Path) -> list[str]:
    names = []
    for number, part in enumerate(content.parts):
        names.append(f"shard-{number:08d}.parquet")
        stored = pa.parquet.read_schema(part.path)
        if stored.equals(content.schema):
            _link(part.path, folder / names[-1])
        else:
            table = with_schema(part.table(), content.schema).replace_schema_metadata(stored.metadata)
            write_part(folder / names[-1], table, part.facts, part.rows, part.unusable)
    return names


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _read_parquet(folder: Path, shard: ShardFacts, columns: Sequence[str] | None, column: str) -> pa.Table:
    return pa.parquet.read_table(folder / shard["file"], columns=None if columns is None else list(columns))


def _write_arrow(content: Content, folder: Path) -> list[str]:
    names = []
    for number, table in enumerate(content.tables()):
        names.append(f"shard-{number:08d}.arrow")
        with pa.ipc.new_file(str(folder / names[-1]), table.schema) as file:
            file.write_table(table)
    return names


def _read_arrow(folder: Path, shard: ShardFacts, columns: Sequence[str] | None, column: str) -> pa.Table:
    table = pa.ipc.open_file(pa.memory_map(str(folder / shard["file"]))).read_all()
    return table if columns is None else table.select(list(columns))


def _write_npy(content: Content, folder: Path) -> list[str]:
    """A row group of the other columns for each shard."""
    shape = (content.rows, content.vectors.width)
    vectors = np.lib.format.open_memmap(folder / VECTORS, "w+", content.vectors.stored_dtype, shape)
    others = content.schema.remove(content.schema.get_field_index(content.column))
    start = 0
    with pa.parquet.ParquetWriter(folder / ROWS, others) as writer:
        for table in content.tables():
            vectors[start : start + table.num_rows] = content.vectors.from_column(table[content.column])
            writer.write_table(table.select(others.names), row_group_size=table.num_rows)
            start += table.num_rows
    vectors.flush()
    return [ROWS] * len(content.parts)


def _read_npy(folder: Path, shard: ShardFacts, columns: Sequence[str] | None, column: str) -> pa.Table:
    file = pa.parquet.ParquetFile(folder / ROWS)
    others = [name for name in file.schema_arrow.names if columns is None or name in columns]
    table = file.read_row_group(shard["number"], columns=others)
    if columns is None or column in columns:
        stored = np.load(folder / VECTORS, mmap_mode="r")[shard["start"] : shard["start"] + shard["rows"]]
        array = pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), stored.shape[1])
        table = table.append_column(column, array) if others else pa.table({column: array})
    return table if columns is None else table.select(list(columns))


def _write_lance(content: Content, folder: Path) -> list[str]:
    lancedb = needed("lancedb", "lance", "a LanceDB table")
    batches = (batch for table in content.tables() for batch in table.to_batches())
    lancedb.connect(folder).create_table(TABLE, pa.RecordBatchReader.from_batches(content.schema, batches))
    return [f"{TABLE}.lance"] * len(content.parts)


def _read_lance(folder: Path, shard: ShardFacts, columns: Sequence[str] | None, column: str) -> pa.Table:
    query = needed("lancedb", "lance", "a LanceDB table").connect(folder).open_table(TABLE).search()
    query = query if columns is None else query.select(list(columns))
    return query.offset(shard["start"]).limit(shard["rows"]).to_arrow()


LAYOUTS = {
    "parquet": Layout(_write_parquet, _read_parquet),
    "arrow": Layout(_write_arrow, _read_arrow),
    "npy": Layout(_write_npy, _read_npy),
    "lance": Layout(_write_lance, _read_lance, "lancedb"),
}
