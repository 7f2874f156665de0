"""Make pairs of the rows of a file by any method."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lastword.arguments import as_path
from lastword.console import info
from lastword.errors import TableError
from lastword.files.chunk_run import PARTS, Part, run_chunks
from lastword.files.run_folder import RunFolder, fingerprint
from lastword.files.sources import Source, table_file
from lastword.files.tables import Chunk
from lastword.pairs.record import (
    SCHEMA,
    Method,
    Pair,
    Rejected,
    require_own_file,
    require_suffix,
    single_negatives,
    table_of,
    write_tables,
)

NO_TEXT = "empty or non-text cell"


@dataclass(frozen=True)
class PairsResult:
    """A file of pairs and how it came about.

    Attributes:
        output: the file.
        rows: rows read.
        pairs: pairs written.
        rejected: reason → number of rows, or of candidates, that gave no pair.
        seconds: time of this call, without that of an interrupted run before it.
    """

    output: Path
    rows: int
    pairs: int
    rejected: dict[str, int]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return vars(self) | {"output": str(self.output), "seconds": round(self.seconds, 2)}


def make_pairs(
    method: Method,
    file: Source,
    output: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    drop_empty: bool = False,
) -> PairsResult:
    """Make pairs of the rows of a file.

    The file is read in chunks, and each chunk's pairs are stored in `OUTPUT.partial` when they are done. So
    memory does not grow with the file, and an interrupted run resumes and ends with the same output.

    Args:
        method: how; `Crop()`, `Noise()`, `SameLabel(file)` and so on, or anything that is a `Method`.
        file: texts, as `lastword.files.tables` reads them.
        output: .parquet, .jsonl or .csv file with anchor, positive, negative, source, method, seed and meta;
            `negative` has lists where a pair has several.
        seed: of all random choices.
        resume: continue an interrupted run of the same file and settings.
        overwrite: replace `output`, and discard an interrupted run.
        drop_empty: leave out rows with an empty or non-text cell instead of refusing the file.

    Raises:
        ExistingOutputError: `output` exists, is being written, or has an interrupted run.
        RequestError: an interrupted run had other settings, the suffix of `output` is unknown, or the method has read
            another file.
        MissingFileError, TableError: see the message.
    """
    started, source, output = time.monotonic(), table_file(file), as_path("output", output)
    require_suffix(output)
    require_own_file(method, source)
    run = RunFolder(output, resume=resume, overwrite=overwrite, evidence=PARTS)
    run.check(source, method.inputs)
    settings = {
        "method": method.name, "settings": method.settings(), "columns": list(method.columns), "seed": seed,
        "encoding": source.encoding, "delimiter": source.delimiter, "chunk": method.chunk,
    }  # fmt: skip
    inputs = {str(source): fingerprint(source)} | {name: fingerprint(name) for name in method.inputs}

    def work(chunk: Chunk) -> tuple[pa.Table, dict[str, int]]:
        outcomes = list(method.pairs(chunk, seed))
        pairs = [outcome for outcome in outcomes if isinstance(outcome, Pair)]
        rejected = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Rejected))
        return table_of(pairs, Path(str(source)).name, method.name, seed), dict(rejected)

    with run.open(settings, inputs) as folder:
        description = f"pairs by {method.name}"
        parts = run_chunks(
            source,
            method.columns,
            work,
            run,
            size=method.chunk,
            description=description,
            drop_empty=drop_empty,
        )
        result = _result(output, parts, started)
        if not result.pairs:
            run.discard()
            reasons = ", ".join(f"{reason} ({count})" for reason, count in list(result.rejected.items())[:3])
            raise TableError(f"{file}: its {result.rows:,} rows gave no pair: {reasons}")
        tables: Iterable[pa.Table] = (part.table() for part in parts)
        schema = SCHEMA
        if not any(_has_several(part) for part in parts):
            tables = single_negatives(tables)
            schema = SCHEMA.set(SCHEMA.get_field_index("negative"), pa.field("negative", pa.string()))
        write_tables(tables, schema, folder / "joined", output.suffix.lower())
        run.finish(folder / "joined")
    info(f"{result.pairs:,} pairs of {result.rows:,} rows: {output}")
    for reason, count in result.rejected.items():
        info(f"  {count:,} left out: {reason}")
    return result


def _has_several(part: Part) -> bool:
    """Whether a pair has more than one hard negative."""
    column = pa.parquet.read_table(part.path, columns=["negative"])["negative"]
    return any(len(texts) > 1 for texts in column.to_pylist())


def _result(output: Path, parts: list[Part], started: float) -> PairsResult:
    rejected = Counter({NO_TEXT: sum(part.unusable for part in parts)})
    for part in parts:
        rejected.update(part.facts)
    rows, pairs = sum(part.rows for part in parts), sum(part.results for part in parts)
    reasons = {reason: count for reason, count in rejected.most_common() if count}
    return PairsResult(output, rows, pairs, reasons, time.monotonic() - started)
