"""Run a method over a file: in chunks, each kept when done, resumable after anything, one file at the end."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from lastword.console import info, progress
from lastword.errors import TableError
from lastword.files.run_folder import RunFolder
from lastword.files.streams import Chunk, chunks
from lastword.pairs.method import Method
from lastword.pairs.record import NO_TEXT, Pair, Rejected, require_writable, table_of, write_joined


@dataclass(frozen=True)
class Made:
    """What a run made.

    Attributes:
        out: the file of pairs.
        rows: rows read.
        pairs: pairs written.
        rejected: reason → how many rows or candidates gave no pair for it.
        seconds: time of this call; a resumed run's earlier time is not in it.
    """

    out: Path
    rows: int
    pairs: int
    rejected: dict[str, int]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            "out": str(self.out), "rows": self.rows, "pairs": self.pairs, "rejected": self.rejected,
            "seconds": round(self.seconds, 2),
        }  # fmt: skip


def make_pairs(
    method: Method,
    file: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    drop_empty: bool = False,
) -> Made:
    """Make pairs of the rows of a file.

    The file is read in chunks and each chunk's pairs are kept in `OUT.partial` when they are done, so
    memory does not grow with the file, and a run that was stopped goes on with `resume`, to the same
    file as if it had not been.

    Args:
        method: how; see `Method`.
        file: texts, as `lastword.files.tables` reads them.
        out: .parquet, .jsonl or .csv with anchor, positive, negative, source, method, seed and meta.
        seed: decides whatever is drawn.
        resume: go on with an interrupted run of the same file and settings.
        overwrite: replace `out`, and forget an interrupted run.
        drop_empty: leave out rows without text instead of refusing the file.

    Raises:
        ExistingOutputError: `out` exists, or an interrupted run lies beside it.
        RequestError: an interrupted run had other settings, or `out` has an ending that is not known.
        MissingFileError, TableError: see the message.
    """
    file, out, started = Path(file), Path(out), time.monotonic()
    require_writable(out)
    partial = _opened(out, _settings(method, file, seed), resume=resume, overwrite=overwrite)
    try:
        with progress(f"pairs by {method.name}", _count(file), method.chunk) as advance:
            for number, chunk in enumerate(chunks(file, method.columns, method.chunk)):
                part = partial / f"part-{number:08d}.parquet"
                if not part.exists():
                    _write_part(part, method, chunk, file, seed, drop_empty)
                advance(len(chunk))
    finally:
        if not any(partial.glob("part-*.parquet")):
            shutil.rmtree(partial)  # nothing was done, nothing is kept
    return _finished(partial, out, time.monotonic() - started)


def _write_part(part: Path, method: Method, chunk: Chunk, file: Path, seed: int, drop_empty: bool) -> None:
    """Write a chunk's pairs, with its counts in the file's own metadata; the file appears whole or not at all."""
    made: list[Pair] = []
    rejected: Counter[str] = Counter()
    for outcome in method.pairs(chunk, seed):
        if isinstance(outcome, Rejected):
            if outcome.reason == NO_TEXT and not drop_empty:
                raise TableError(
                    f"{file}: row {outcome.row} (counted from 0) holds no text in {', '.join(method.columns)}; "
                    "mend it, or go on without such rows: --drop-empty --resume"
                )
            rejected[outcome.reason] += 1
        else:
            made.append(outcome)
    facts = json.dumps({"rows": len(chunk), "rejected": rejected})
    table = table_of(made, file.name, method.name, seed).replace_schema_metadata({"lastword": facts})
    temporary = part.with_suffix(".tmp")
    pa.parquet.write_table(table, temporary)
    temporary.replace(part)


def _finished(partial: Path, out: Path, seconds: float) -> Made:
    parts = sorted(partial.glob("part-*.parquet"))
    rows, pairs, rejected = 0, 0, Counter[str]()
    for part in parts:
        metadata = pa.parquet.read_metadata(part)
        facts = json.loads(metadata.metadata[b"lastword"])
        rows, pairs = rows + facts["rows"], pairs + metadata.num_rows
        rejected.update(facts["rejected"])
    if pairs == 0:
        shutil.rmtree(partial)
        reasons = ", ".join(f"{reason} ({count})" for reason, count in rejected.most_common(3))
        raise TableError(f"not one pair came of {rows} rows: {reasons}")
    write_joined(parts, partial / "joined", out.suffix.lower())
    (partial / "joined").replace(out)
    shutil.rmtree(partial)
    made = Made(out, rows, pairs, dict(rejected.most_common()), seconds)
    info(f"{made.pairs:,} pairs of {made.rows:,} rows: {out}")
    for reason, count in made.rejected.items():
        info(f"  {count:,} left out: {reason}")
    return made


def _settings(method: Method, file: Path, seed: int) -> dict[str, Any]:
    return {
        "method": method.name, "settings": method.settings(), "columns": list(method.columns), "seed": seed,
        "file": _fingerprint(file),
    }  # fmt: skip


def _fingerprint(file: Path) -> str:
    """Size and first mebibyte: enough to notice that another file is given."""
    if not file.is_file():
        return str(file)  # a data set; or a file that is missing, as reading says in a moment
    with file.open("rb") as opened:
        return f"{file.stat().st_size}:{hashlib.sha256(opened.read(1 << 20)).hexdigest()[:16]}"


def _opened(out: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool) -> Path:
    """The folder of the unfinished run, empty unless one is resumed."""
    place = RunFolder(out, resume=resume, overwrite=overwrite, evidence="part-*.parquet")
    place.prepare(settings)
    if done := sum(1 for _ in place.partial.glob(place.evidence)):
        info(f"resuming after {done:,} chunks")
    return place.partial


def _count(file: Path) -> int:
    """Rows of a file, for the bar: exact for Parquet, by lines for the others; 0 where there is no file."""
    if not file.is_file():
        return 0
    if file.suffix.lower() == ".parquet":
        try:
            rows: int = pa.parquet.read_metadata(file).num_rows
        except pa.ArrowException:
            return 0  # reading says so in a moment
        return rows
    header = file.suffix.lower() in (".csv", ".tsv")
    lines, last = 0, b""
    with file.open("rb") as opened:
        for block in iter(lambda: opened.read(1 << 20), b""):
            lines, last = lines + block.count(b"\n"), block
    return lines + (not last.endswith(b"\n")) - header
