"""`lastword search`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastword.cli import options
from lastword.cli.checks import FOLDER, Choice, split_names
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.errors import RequestError
from lastword.files.plain_json import json_text
from lastword.files.sources import STANDARD_INPUT, TableFile
from lastword.report.table import aligned

if TYPE_CHECKING:
    from lastword.corpus.search import SearchResult

_SEARCH = "Search"
_CELL = 70  # characters that a terminal gets of a cell
MATCHES = options.together(
    option(_SEARCH, "--top", "rows to find for each query", default=10, type=click.IntRange(1, 10_000)),
    option(
        _SEARCH, "--rescore", "of int8 and binary vectors: embed the texts of the best rows again, for exact scores",
        is_flag=True,
    ),
    option(
        _SEARCH, "--rerank",
        "a decoder as it was pretrained, which orders the best rows by whether they answer the query: smollm2, a name "
        "or folder", type=options.TYPES["model"],
    ),
)  # fmt: skip
"""How many rows are found, and what is done with the best, for searching and for its plan."""
INDEX_CHOICES = ("auto", "exact", "ivf-flat", "hnsw-flat", "hnsw-sq")


@command(
    'lastword search vectors "the screen stays dark" --top 5',
    'lastword search vectors "red shoes" --where "price<80" --where color=red --json',
)
@click.argument("store", metavar="STORE", type=FOLDER, help="folder that lastword embed or cluster wrote")
@click.argument(
    "queries", metavar="QUERY…", nargs=-1, help="texts; - reads them from standard input, one a line"
)
@option(
    _SEARCH, "--where", "only rows of which this is true, such as price<20 or color!=red; several are all true",
    multiple=True, metavar="CONDITION",
)  # fmt: skip
@option(
    _SEARCH, "--hybrid", "fuse the ranking by vectors with that by words (BM25); only in a LanceDB table", is_flag=True
)  # fmt: skip
@MATCHES
@option(
    _SEARCH, "--index",
    "of a LanceDB table: a kind builds it, and measures its recall; auto does above 200,000 rows; exact uses none",
    default="auto", type=Choice("index", INDEX_CHOICES),
)  # fmt: skip
@options.models(
    default=None, required=False, help="where the model of the store is now  [default: where it was]"
)
@shared("--device")
@option(options.OUTPUT, "--columns", "of the rows  [default: all]", metavar="A,B,…")
@shared("--json")
def search(
    store: Path, queries: tuple[str, ...], columns: str | None, as_json: bool, device: str | None, **settings: Any
) -> None:  # fmt: skip
    """Find the rows of a store that are nearest to queries.

    The model is that of the store, which is known by its identity: another one is refused. Queries get
    its prompt for queries, documents got that for documents.
    """
    from lastword.corpus.search import check_search
    from lastword.corpus.search import search as run

    texts = _texts(queries)
    settings["columns"] = split_names(columns) if columns is not None else None
    check_search(store, texts, **options.taken(check_search, settings))
    print_result(run(store, texts, device=device, **settings), as_json, search_table)


def _texts(queries: Sequence[str]) -> list[str]:
    """The queries, those on standard input in place of "-"."""
    texts: list[str] = []
    for query in queries:
        if query != STANDARD_INPUT:
            texts.append(query)
            continue
        with TableFile(STANDARD_INPUT).open_text() as lines:
            texts += [line.strip() for line in lines if line.strip()]
        if not texts:
            raise RequestError("standard input has no query: give one a line")
    return texts


def search_table(result: SearchResult) -> str:
    """The rows of each query below it, a line each; long cells are cut."""
    blocks = []
    for found in result.queries:
        rows = [
            (f"{match.score:.3f}", *map(_cell, match.to_dict()["row"].values())) for match in found.matches
        ]
        names = list(found.matches[0].row) if found.matches else []
        table = aligned([("score", *names), *rows]) if rows else "no row fulfils the conditions"
        blocks.append(f"{_cell(found.query)}\n\n{table}" if len(result.queries) > 1 else table)
    return "\n\n\n".join(blocks)


def _cell(value: Any) -> str:
    """A value as one line without control characters, which could rewrite the terminal."""
    text = value if isinstance(value, str) else "–" if value is None else json_text(value)
    line = "".join(
        " " if unicodedata.category(character) == "Cc" else character for character in " ".join(text.split())
    )
    return line if len(line) <= _CELL else line[: _CELL - 1] + "…"
