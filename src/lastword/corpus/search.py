"""The verb: queries → the nearest rows of a store; exactly, or in LanceDB with an index and full text."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lastword.arguments import python_values, require_list, whole_number
from lastword.bundled import check_model, require_pretrained
from lastword.corpus.encode import ROLE, shortened
from lastword.corpus.filters import Condition
from lastword.corpus.lance_table import INDEXES, IndexReport, LanceTable
from lastword.corpus.nearest import nearest
from lastword.corpus.store import Store
from lastword.encoder import TextEncoder, encode_distinct
from lastword.encoders.by_name import load_encoder, settings_of
from lastword.errors import LastwordError, RequestError, unknown_name
from lastword.files.formats import plain
from lastword.geometry import unit

if TYPE_CHECKING:
    from lastword.corpus.rerank import Reranker

INDEX_CHOICES = ("auto", "exact", *INDEXES)
INDEX_ROWS = 200_000
"""Above so many rows, index "auto" builds one; below, comparing with all rows takes less than a tenth of a second."""
RESCORED = 4  # rows whose texts are embedded again or reranked, per row that is asked for
_JSON = (str, int, float, type(None))


@dataclass(frozen=True)
class Match:
    """A row that was found.

    Attributes:
        score: cosine of query and row; of a hybrid search the fused score, which is only good for comparing rows; of a
            reranked one the probability that the row answers the query.
        row: column → cell.
    """

    score: float
    row: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; dates and other cells that JSON does not know are text."""
        return {"score": round(self.score, 6), "row": {name: _json(cell) for name, cell in self.row.items()}}


@dataclass(frozen=True)
class Found:
    """What a query found.

    Attributes:
        query: its text.
        matches: the rows, best first.
    """

    query: str
    matches: tuple[Match, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"query": self.query, "matches": [match.to_dict() for match in self.matches]}


@dataclass(frozen=True)
class SearchResult:
    """What queries found in a store.

    Attributes:
        store: its folder.
        model: name of the model that made its vectors.
        index: the index that was used; None if the queries were compared with all rows.
        queries: in their order.
    """

    store: Path
    model: str
    index: IndexReport | None
    queries: tuple[Found, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "store": str(self.store), "model": self.model, "index": self.index and self.index.to_dict(),
            "queries": [found.to_dict() for found in self.queries],
        }  # fmt: skip


@dataclass(frozen=True)
class SearchRequest:
    """A request that was checked: nothing is loaded yet.

    Attributes:
        store: opened.
        queries: n texts.
        conditions: all of which a row must fulfil.
        columns: of the rows that are found.
        in_lance: LanceDB compares the vectors.
    """

    store: Store
    queries: list[str]
    conditions: list[Condition]
    columns: list[str]
    in_lance: bool


def search(
    store: str | Path | Store,
    queries: str | Sequence[str],
    *,
    top: int = 10,
    where: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    hybrid: bool = False,
    rescore: bool = False,
    rerank: str | Path | None = None,
    index: str = "auto",
    model: str | Path | TextEncoder | None = None,
    device: str | None = None,
) -> SearchResult:
    """Find the rows of a store that are nearest to queries.

    Queries get the model's prompt for queries, if it has one.

    Args:
        store: a folder that `embed_corpus` wrote, or an open store.
        queries: a text or several; none with an index by name only builds it.
        top: rows to find for each.
        where: conditions such as "price<20" or "category=shoes", all of which a row must fulfil. In a column of text,
            < and > compare numbers if the value is one.
        columns: of the rows that are found; None is all.
        hybrid: fuse the ranking by vectors with that by words (BM25); only in a LanceDB table.
        rescore: of int8 or binary vectors, embed the texts of four times as many rows again, for exact scores.
        rerank: a decoder as it was pretrained that reads each query with the texts of four times as many rows, and
            orders them by whether they answer it; see `Reranker`.
        index: "auto" uses the index of a LanceDB table, and builds one above 200,000 rows; "exact" compares with all
            rows; "ivf-flat", "hnsw-flat" and "hnsw-sq" build that index if the table has another one or none.
        model: where the model of the store is now; None is where it was, with the settings of then.
        device: None is the best available.

    Raises:
        MissingFileError: no such store, or its model is not there.
        ModelError: `model` is not the one that made the vectors.
        RequestError: see the message.
        WorkError: an index finds less than 0.95 of the 10 nearest rows; see the message.
    """
    top = whole_number("top", top, least=1)
    request = check_search(
        store, queries, where=where, columns=columns, hybrid=hybrid, rescore=rescore, rerank=rerank, index=index,
        model=model,
    )  # fmt: skip
    opened, texts = request.store, request.queries
    table = LanceTable(opened) if request.in_lance else None
    report = _index(table, index) if table else None
    if not texts:
        return SearchResult(opened.folder, opened.model, report, ())
    encoder = _encoder(opened, model, device)
    vectors = unit(
        shortened(np.asarray(encode_distinct(encoder, texts, "query"), np.float32), opened.vector_format.dim)
    )
    if rerank:
        request = dataclasses.replace(request, columns=list({*request.columns, opened.text_column}))
    wanted = top * (RESCORED if rescore or rerank else 1)
    if table:
        if hybrid:
            table.require_words()
        answers = table.nearest(vectors, texts, wanted, request.conditions, request.columns, report, hybrid)
    else:
        answers = _exact(request, vectors, wanted, wanted if rerank else top, encoder if rescore else None)
    if rerank:
        from lastword.corpus.rerank import Reranker  # imports torch: a wrong request is refused without it

        shown = list(opened.columns if columns is None else columns)
        answers = _reranked(answers, texts, Reranker(rerank, device=device), opened.text_column, top, shown)
    found = [Found(text, _matches(*rows)) for text, rows in zip(texts, answers, strict=True)]
    return SearchResult(opened.folder, opened.model, report, tuple(found))


def check_search(
    store: str | Path | Store,
    queries: str | Sequence[str],
    *,
    where: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    hybrid: bool = False,
    rescore: bool = False,
    rerank: str | Path | None = None,
    index: str = "auto",
    model: str | Path | TextEncoder | None = None,
) -> SearchRequest:
    """Refuse what cannot work, before the model is loaded.

    Raises:
        MissingFileError, RequestError, ModelError: see the message.
    """
    if index not in INDEX_CHOICES:
        raise RequestError(unknown_name("index", index, INDEX_CHOICES))
    opened = store if isinstance(store, Store) else Store.open(store)
    texts = [queries] if isinstance(queries, str) else python_values(queries)
    for name, values in {"queries": texts, "where": where, "columns": columns or []}.items():
        require_list(name, values, strings=True)
    texts = list(texts)
    if not texts and index not in INDEXES:
        raise RequestError("no query: give a text, or several")
    if blank := next((number for number, text in enumerate(texts, 1) if not text.strip()), None):
        raise RequestError(f"query {blank} is blank: give a text")
    in_lance = _check_layout(opened, hybrid, rescore, index)
    chosen = list(opened.columns if columns is None else columns)
    if unknown := next((name for name in chosen if name not in opened.columns), None):
        raise RequestError(unknown_name("column", unknown, opened.columns))
    schema = opened.shard(0, opened.columns).schema if where else None
    conditions = [Condition.parse(each, schema) for each in where]
    if rerank is not None:
        check_model(rerank)
        require_pretrained(rerank)
    if texts and model is None:
        _check_model(opened)
    return SearchRequest(opened, texts, conditions, chosen, in_lance)


def _check_layout(store: Store, hybrid: bool, rescore: bool, index: str) -> bool:
    """Whether LanceDB compares the vectors; refuse what this layout, or this type of vectors, cannot do."""
    layout, dtype = store.manifest["layout"], store.vector_format.dtype
    exact = dtype in ("float32", "float16")
    for name, value in {"hybrid": hybrid, "index": index if index in INDEXES else False}.items():
        if value and not (layout == "lance" and exact):
            raise RequestError(
                f"{name}={value!r} needs a LanceDB table with float32 or float16 vectors, and {store.folder} has "
                f"{layout} with {dtype}: write one with `lastword embed --format lance`"
            )
    if rescore and exact:
        raise RequestError(
            f"rescore=True is for int8 and binary vectors, and {store.folder} has {dtype}: leave it out"
        )
    return layout == "lance" and exact


def _check_model(store: Store) -> None:
    loading = store.manifest["model"].get("loading")
    if loading is None:
        raise RequestError(f"{store.folder} was made with a loaded model ({store.model}): give it, model=…")
    if "template" in settings_of(loading["model"]):  # a decoder
        try:
            check_model(loading["model"])
        except LastwordError as error:
            raise type(error)(f"{error}; if the model of {store.folder} was moved, give model=…") from error


def _encoder(store: Store, model: str | Path | TextEncoder | None, device: str | None) -> TextEncoder:
    """The model of the store, with the settings that it had then."""
    loading = dict(store.manifest["model"].get("loading") or {})
    source = loading.pop("model", "") if model is None else model
    loading.pop("model", None)
    taken = {name: value for name, value in loading.items() if name in settings_of(source)}
    encoder = load_encoder(source, **taken, device=device)
    store.require_model(encoder)
    return encoder


def _index(table: LanceTable, choice: str) -> IndexReport | None:
    """The index that is used, which is built if it must be."""
    if choice == "exact":
        return None
    built = table.index()
    if choice == "auto":
        folder = table.store.folder
        if built or len(table.store) <= INDEX_ROWS or not os.access(folder, os.W_OK):
            return built
        return table.build_index("ivf-flat")
    return built if built and built.kind == choice else table.build_index(choice)


def _exact(
    request: SearchRequest, vectors: np.ndarray, wanted: int, kept: int, encoder: TextEncoder | None
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The rows that each query finds among all; with an encoder, the texts of those that are wanted are embedded again
    for their scores, and the best are kept.
    """
    store = request.store
    for vector, (scores, rows) in zip(
        vectors, nearest(store, vectors, wanted, request.conditions), strict=True
    ):
        if encoder and len(rows):
            texts = store.take(rows, [store.text_column])[store.text_column].to_pylist()
            again = shortened(np.asarray(encode_distinct(encoder, texts, ROLE), np.float32), vectors.shape[1])
            scores = unit(again) @ vector
            best = np.argsort(-scores, kind="stable")[:kept]
            scores, rows = scores[best], rows[best]
        yield scores, store.take(rows, request.columns)


def _reranked(
    answers: Iterable[tuple[np.ndarray, pa.Table]],
    queries: Sequence[str],
    reranker: Reranker,
    text_column: str,
    top: int,
    columns: list[str],
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The best rows of each answer by the reranker, with the columns that were asked for."""
    for query, (_, rows) in zip(queries, answers, strict=True):
        scores = (
            reranker.scores(query, rows[text_column].to_pylist()) if len(rows) else np.empty(0, np.float32)
        )
        best = np.argsort(-scores, kind="stable")[:top]
        yield scores[best], rows.take(best).select(columns)


def _matches(scores: np.ndarray, rows: pa.Table) -> tuple[Match, ...]:
    cells = rows.to_pylist() or [{} for _ in scores]  # a table without columns has no rows
    return tuple(Match(float(score), row) for score, row in zip(scores, cells, strict=True))


def _json(cell: Any) -> Any:
    if isinstance(cell, dict):
        return {name: _json(value) for name, value in cell.items()}
    if isinstance(cell, list):
        return [_json(value) for value in cell]
    return cell if isinstance(cell, _JSON) else plain(cell)
