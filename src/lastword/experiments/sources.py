"""The sources of pairs that are compared, each cut to the same number of pairs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from lastword.bundled import NAMES, path_of
from lastword.errors import RequestError
from lastword.files.tables import read_texts

JOIN = "+"


@dataclass(frozen=True)
class Source:
    """Pairs of one kind, or a mixture.

    Attributes:
        name: the files' names without their endings.
        files: one file, or several that are mixed in equal parts.
    """

    name: str
    files: tuple[str, ...]


def read_sources(given: Sequence[str]) -> list[Source]:
    """Read `a.parquet`, or `a.parquet+b.parquet` for a mixture in equal parts.

    Raises:
        RequestError: fewer than two sources, or two of one name.
    """
    sources = []
    for one in given:
        files = tuple(part for part in one.split(JOIN) if part)
        sources.append(Source(JOIN.join(Path(file).stem for file in files), files))
    names = [source.name for source in sources]
    if len(sources) < 2:
        raise RequestError(f"{len(sources)} source of pairs: a comparison needs two or more")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RequestError(f"two sources are called {twice[0]!r}: rename a file")
    return sources


def write_sample(source: Source, pairs: int, seed: int, target: Path) -> int:
    """Write at most `pairs` pairs of a source, equal parts of its files, drawn by the seed; gives how many."""
    rows: list[tuple[str, str, str]] = []
    for file in source.files:
        columns = read_texts(
            path_of(file) if file in NAMES else file,
            ["anchor", "positive"],
            optional=["negative"],
            drop_empty=True,
        )
        negatives = columns.get("negative", [""] * len(columns["anchor"]))
        own = list(zip(columns["anchor"], columns["positive"], negatives, strict=True))
        rng = random.Random(f"{seed}/{file}")
        rows += rng.sample(own, min(len(own), pairs // len(source.files)))
    random.Random(seed).shuffle(rows)
    anchors, positives, hard = zip(*rows, strict=True)
    table = pa.table({"anchor": anchors, "positive": positives, "negative": hard})
    pa.parquet.write_table(table, target)
    return len(rows)
