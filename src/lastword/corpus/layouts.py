"""The finished store: the parts of a run as shards with equal columns, and the manifest beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from lastword.corpus.store import MANIFEST, REJECTED
from lastword.files.chunk_run import Part, write_part
from lastword.files.run_folder import write_json
from lastword.files.typed import common_schema, with_schema

REJECTED_ENDING = ".rejected"
"""Of the file beside a part that lists its rejected rows."""


def finished(folder: Path, parts: Sequence[Part], manifest: dict[str, Any]) -> Path:
    """Write the store.

    Args:
        folder: the run folder.
        parts: in the order of the rows.
        manifest: without `columns` and `shards`, which are added.

    Returns:
        The store's folder, inside the run folder.
    """
    store = folder / "finished"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    filled = [part for part in parts if part.results]
    schema = common_schema(pa.parquet.read_schema(part.path).remove_metadata() for part in filled)
    shards = []
    for number, part in enumerate(filled):
        shard = store / f"shard-{number:08d}.parquet"
        _place(part, shard, schema)
        shards.append({"file": shard.name, "rows": part.results})
    _join_rejected(parts, store / REJECTED)
    columns = [name for name in schema.names if name != manifest["vectors"]["column"]]
    write_json(store / MANIFEST, manifest | {"columns": columns, "shards": shards})
    return store


def _place(part: Part, shard: Path, schema: pa.Schema) -> None:
    """Link a part that has the common columns, rewrite another."""
    stored = pa.parquet.read_schema(part.path)
    if stored.equals(schema):
        try:
            os.link(part.path, shard)
        except OSError:  # a file system without links
            shutil.copyfile(part.path, shard)
        return
    table = with_schema(part.table(), schema)
    write_part(shard, table.replace_schema_metadata(stored.metadata), part.facts, part.rows, part.unusable)


def _join_rejected(parts: Sequence[Part], target: Path) -> None:
    if not any(part.unusable for part in parts):
        return
    with target.open("w", encoding="utf-8") as file:
        for part in parts:
            if part.unusable:
                file.write(part.path.with_suffix(REJECTED_ENDING).read_text(encoding="utf-8"))
