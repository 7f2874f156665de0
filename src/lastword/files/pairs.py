"""Files of pairs: anchor, positive and any number of hard negatives, read by one path for every command."""

from __future__ import annotations

from collections.abc import Iterator

from lastword.errors import TableError
from lastword.files.formats import BLOCK_ROWS, NEGATIVE, Columns, read_blocks
from lastword.files.sources import Source, table_file
from lastword.files.tables import Kind, read_chunks

PairRow = tuple[str, str, list[str]]
"""Anchor, positive and hard negatives."""
SCORE = "score"
"""The column of graded pairs that says how alike the two texts are."""
KINDS: dict[str, Kind] = {"anchor": "text", "positive": "text", NEGATIVE: "negatives"}


def read_pair_rows(source: Source, *, drop_empty: bool = False) -> Iterator[PairRow]:
    """Yield anchor, positive and hard negatives of each pair.

    Args:
        source: a file with the columns `anchor` and `positive`, and perhaps `negative` with a text, null or a list of
            texts in each cell, or `negative_1`, `negative_2` and so on.
        drop_empty: leave out rows with an unusable cell instead of refusing the file.

    Raises:
        MissingFileError, TableError: see the message; it names the rows.
    """
    kept = 0
    for chunk in read_chunks(source, KINDS, BLOCK_ROWS, drop_empty=drop_empty):
        kept += len(chunk.rows)
        yield from zip(chunk.columns["anchor"], chunk.columns["positive"], chunk.negatives, strict=True)
    if not kept:
        raise TableError(f"{source}: no row has usable cells in {', '.join(KINDS)}")


def has_scores(source: Source) -> bool:
    """Whether a file of pairs also has scores; of a data set on the Hub this is not looked up.

    Raises:
        MissingFileError, TableError: see the message.
    """
    if table_file(source).hub:
        return False
    return SCORE in next(read_blocks(source, Columns(["anchor", "positive"], [SCORE])))


def read_graded_rows(source: Source, *, drop_empty: bool = False) -> Iterator[tuple[str, str, float]]:
    """Yield the two texts and the score of each graded pair.

    Args:
        source: a file with the columns `anchor`, `positive` and `score`, the higher the more alike.
        drop_empty: as for `read_pair_rows`.

    Raises:
        MissingFileError, TableError: see the message; it names the rows.
    """
    kinds: dict[str, Kind] = {"anchor": "text", "positive": "text", SCORE: "number"}
    kept = 0
    for chunk in read_chunks(source, kinds, BLOCK_ROWS, drop_empty=drop_empty):
        kept += len(chunk.rows)
        scores = map(float, chunk.columns[SCORE])
        yield from zip(chunk.columns["anchor"], chunk.columns["positive"], scores, strict=True)
    if not kept:
        raise TableError(f"{source}: no row has usable cells in {', '.join(kinds)}")
