"""The finished store: the parts of a run in their file format, with the rejected rows and the manifest beside them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lastword.corpus.layouts import LAYOUTS, Content
from lastword.corpus.store import REJECTED
from lastword.corpus.vectors import VectorFormat
from lastword.encoders.stored import MANIFEST
from lastword.files.chunk_run import Part
from lastword.files.run_folder import write_json
from lastword.files.typed import common_schema

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
    store, column = folder / "finished", manifest["vectors"]["column"]
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    filled = [part for part in parts if part.results]
    schema = common_schema(pq.read_schema(part.path).remove_metadata() for part in filled)
    content = Content(filled, schema, column, VectorFormat.from_dict(manifest["vectors"]))
    shards: list[dict[str, Any]] = []
    start = 0
    for part, name in zip(filled, LAYOUTS[manifest["layout"]].write(content, store), strict=True):
        shards.append({"file": name, "number": len(shards), "start": start, "rows": part.results})
        start += part.results
    _join_rejected(parts, store / REJECTED)
    columns = [name for name in schema.names if name != column]
    write_json(store / MANIFEST, manifest | {"columns": columns, "shards": shards})
    return store


def _join_rejected(parts: Sequence[Part], target: Path) -> None:
    if not any(part.unusable for part in parts):
        return
    with target.open("w", encoding="utf-8") as file:
        for part in parts:
            if part.unusable:
                file.write(part.path.with_suffix(REJECTED_ENDING).read_text(encoding="utf-8"))
