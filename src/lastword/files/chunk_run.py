"""Work over the chunks of a file: constant memory, each result stored when it is done, resumable after anything.

A command reads its file with `run_chunks` inside an open `RunFolder`, joins the parts and finishes the folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from lastword.console import info, progress
from lastword.files.formats import count_rows
from lastword.files.plain_json import json_text
from lastword.files.run_folder import RunFolder
from lastword.files.sources import Source
from lastword.files.tables import Chunk, Kind, read_chunks

PARTS = "part-*.parquet"
_FACTS = b"lastword"  # key in the metadata of a part
Work = Callable[[Chunk], tuple[pa.Table, dict[str, Any]]]
"""Chunk → its result, and facts about it as JSON values.

The result depends on the rows, their numbers and the settings alone, not on earlier chunks: then a resumed run
ends with the same output.
"""


@dataclass(frozen=True)
class Part:
    """The stored result of a chunk.

    Attributes:
        path: Parquet file in the run folder.
        rows: rows of the chunk, unusable ones included.
        unusable: rows that were left out for an empty or non-text cell.
        results: rows of the table.
        facts: what `Work` returned beside the table.
    """

    path: Path
    rows: int
    unusable: int
    results: int
    facts: dict[str, Any]

    def table(self) -> pa.Table:
        """The result."""
        return pa.parquet.read_table(self.path).replace_schema_metadata(None)


def run_chunks(
    source: Source,
    kinds: Mapping[str, Kind],
    work: Work,
    run: RunFolder,
    *,
    size: int,
    description: str,
    drop_empty: bool = False,
) -> list[Part]:
    """Do the work on every chunk that has no result yet, and return all parts in the order of the file.

    Args:
        source: a file or data set, as for `lastword.files.tables.read_chunks`.
        kinds: column → its kind.
        work: what to do with a chunk.
        run: the open folder, with `evidence=PARTS`; deleted if no chunk gets done.
        size: rows of a chunk.
        description: for the progress bar.
        drop_empty: leave out unusable rows instead of refusing the file.

    Raises:
        MissingFileError, TableError: see the message; what is done stays for a resumed run.
    """
    if before := [read_part(path) for path in run.partial.glob(PARTS)]:
        info(f"resuming after {len(before):,} chunks")
    parts = []
    try:
        with progress(
            description, count_rows(source), size, done=sum(part.rows for part in before)
        ) as advance:
            for number, chunk in enumerate(read_chunks(source, kinds, size, drop_empty=drop_empty)):
                path = part_path(run.partial, number)
                if not path.exists():
                    write_part(path, *work(chunk), chunk.read, len(chunk.unusable))
                    advance(chunk.read)
                parts.append(read_part(path))
    finally:
        if not run.interrupted:
            run.discard()
    return parts


def part_path(folder: Path, number: int) -> Path:
    """The file of the part with this number."""
    return folder / f"part-{number:08d}.parquet"


def write_part(path: Path, table: pa.Table, facts: dict[str, Any], rows: int, unusable: int) -> None:
    """Write a part atomically; the metadata of the table are kept.

    Args:
        path: of the part.
        table, facts: as from `Work`.
        rows, unusable: as in `Part`.
    """
    record = json_text({"rows": rows, "unusable": unusable, "facts": facts})
    metadata = {**(table.schema.metadata or {}), _FACTS: record.encode()}
    words = [field.name for field in table.schema if not pa.types.is_fixed_size_list(field.type)]
    temporary = path.with_suffix(".tmp")
    pa.parquet.write_table(table.replace_schema_metadata(metadata), temporary, use_dictionary=words)
    temporary.replace(path)


def read_part(path: Path) -> Part:
    """What is known of a part; its table is read later."""
    metadata = pa.parquet.read_metadata(path)
    record = json.loads(metadata.metadata[_FACTS])
    return Part(path, record["rows"], record["unusable"], metadata.num_rows, record["facts"])
