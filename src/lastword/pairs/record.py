"""One pair with where it came from, and files of pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from lastword.errors import RequestError

SCHEMA = pa.schema([
    ("anchor", pa.string()), ("positive", pa.string()), ("negative", pa.string()), ("source", pa.string()),
    ("method", pa.string()), ("seed", pa.int64()), ("meta", pa.string()),
])  # fmt: skip
ENDINGS = (".parquet", ".jsonl", ".csv")
NO_TEXT = "no text"  # the reason that a run refuses unless told to drop such rows


@dataclass(frozen=True)
class Pair:
    """Two texts that mean the same.

    Attributes:
        anchor, positive: the texts.
        row: number of the row it was made from.
        negative: a text near the anchor but of another meaning; "" where there is none.
        meta: what else the method knows, as JSON has it.
    """

    anchor: str
    positive: str
    row: int
    negative: str = ""
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A row that gave no pair, and why."""

    row: int
    reason: str


def table_of(pairs: Iterable[Pair], file: str, method: str, seed: int) -> pa.Table:
    """Pairs as a table of `SCHEMA`."""
    rows = [
        {
            "anchor": pair.anchor,
            "positive": pair.positive,
            "negative": pair.negative,
            "source": f"{file}:{pair.row}",
            "method": method,
            "seed": seed,
            "meta": json.dumps(pair.meta, ensure_ascii=False, sort_keys=True),
        }
        for pair in pairs
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def require_writable(out: Path) -> None:
    """Refuse an ending that pairs cannot be written as."""
    if out.suffix.lower() not in ENDINGS:
        raise RequestError(
            f"--output {out}: write {', '.join(ENDINGS)}, not {out.suffix or 'a file without an ending'}"
        )


def write_joined(parts: Iterable[Path], target: Path, ending: str) -> None:
    """Join files of pairs into one, a part at a time."""
    _write(
        (pa.parquet.read_table(part).replace_schema_metadata(None) for part in parts), SCHEMA, target, ending
    )


def write_table(table: pa.Table, out: Path) -> None:
    """Write a table whole, whatever its columns; the file appears under its name when it is complete."""
    partial = out.with_name(out.name + ".partial")
    _write([table], table.schema, partial, out.suffix.lower())
    partial.replace(out)


def _write(tables: Iterable[pa.Table], schema: pa.Schema, target: Path, ending: str) -> None:
    if ending == ".parquet":
        with pa.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
        return
    with target.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, schema.names) if ending == ".csv" else None
        if sheet:
            sheet.writeheader()
        for table in tables:
            for row in table.to_pylist():
                if sheet:
                    sheet.writerow(row)
                else:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
