"""The table of the texts: all their columns, and the group of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lastword.corpus.store import Store
from lastword.errors import TableError


def added_columns(column: str) -> tuple[str, str, str]:
    """Names of the columns with the number of the group, its name, and how sure that is."""
    return column, f"{column}_name", f"{column}_confidence"


def require_new_columns(names: Sequence[str], column: str, source: object) -> None:
    """Refuse a table that has one of the columns that are added.

    Raises:
        TableError: see the message.
    """
    if taken := [name for name in added_columns(column) if name in names]:
        raise TableError(
            f"{source} has a column {taken[0]!r}: name that of the groups otherwise, group_column=…"
        )


def write_table(
    path: Path,
    store: Store,
    column: str,
    groups: np.ndarray,
    names: Mapping[int, str],
    confidence: np.ndarray,
) -> None:
    """Write a Parquet file with all columns of a store and the three of the groups, in constant memory.

    Args:
        path: of the file.
        store: n rows.
        column: of the group's number; see `added_columns`.
        groups: (n,) numbers.
        names: number → name.
        confidence: (n,) 0 … 1.
    """
    writer: pq.ParquetWriter | None = None
    start = 0
    try:
        for shard in store.shards(store.columns):
            rows = slice(start, start + shard.num_rows)
            values = (
                pa.array(groups[rows], pa.int32()),
                pa.array([names[int(group)] for group in groups[rows]], pa.string()),
                pa.array(confidence[rows], pa.float32()),
            )
            for name, value in zip(added_columns(column), values, strict=True):
                shard = shard.append_column(name, value)
            shard = shard.replace_schema_metadata(None)
            writer = writer or pq.ParquetWriter(path, shard.schema)
            writer.write_table(shard)
            start += shard.num_rows
    finally:
        if writer:
            writer.close()
