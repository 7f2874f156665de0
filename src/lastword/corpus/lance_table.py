"""Stores in LanceDB: nearest rows with and without an index, the index and its measured recall, full text."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lastword.console import info
from lastword.corpus.filters import Condition
from lastword.corpus.layouts import TABLE
from lastword.corpus.store import Store
from lastword.errors import WorkError
from lastword.extras import needed
from lastword.files.locks import FileLock
from lastword.files.run_folder import write_json

INDEXES = {"ivf-flat": "IvfFlat", "hnsw-flat": "HnswFlat", "hnsw-sq": "HnswSq"}
"""Kind of index → class of `lancedb.index`. Product quantisation is not among them: its recall is too low."""
LEAST_RECALL = 0.95
_RECORD, _LOCK = "_index.json", "_index"
_GOOD_RECALL = 0.98
_PROBES = (10, 20, 50, 100, 200, 400)
_QUERIES, _DEPTH = 200, 10
_ROUNDING = 1e-5  # of a cosine distance
_METRIC = "cosine"
_REFINED = 4  # candidates of a quantised index that are compared exactly, per row that is asked for
_FUSED = 4  # rows of each ranking that are fused, per row that is asked for


@dataclass(frozen=True)
class IndexReport:
    """An index and what it finds.

    Attributes:
        kind: a name in `INDEXES`.
        recall: share of the 10 nearest rows that a search with the index finds: of 200 vectors of the store, each
            without itself, against a search of all rows; rows as near as the tenth count.
        probes: parts of the index that a search reads.
        rows: rows of the store.
        seconds: time to build and measure it.
    """

    kind: str
    recall: float
    probes: int
    rows: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dict(vars(self))


class LanceTable:
    """The table of a store whose vectors are float32 or float16."""

    def __init__(self, store: Store) -> None:
        lancedb = needed("lancedb", "lance", "a LanceDB table")
        self.store, self.table = store, lancedb.connect(store.folder).open_table(TABLE)

    def nearest(
        self,
        vectors: np.ndarray,
        texts: Sequence[str],
        count: int,
        conditions: Sequence[Condition],
        columns: Sequence[str],
        index: IndexReport | None,
        hybrid: bool,
    ) -> Iterator[tuple[np.ndarray, pa.Table]]:
        """Search for each query.

        Args:
            vectors: (n, dim) float32, of the queries.
            texts: n queries, for full text.
            count: rows to find for each.
            conditions: all of which a row must fulfil.
            columns: of the rows.
            index: to use; None compares with all rows.
            hybrid: fuse the ranking by vectors with that by words (BM25).

        Yields:
            For each query scores, (m,), m ≤ `count`, and rows, best first: cosines, or of `hybrid` fused scores.

        Source of the fused score: Cormack et al., "Reciprocal rank fusion", SIGIR 2009, as LanceDB computes it.
        """
        where = " AND ".join(f"({condition.sql})" for condition in conditions)
        score = "_relevance_score" if hybrid else "_distance"
        for vector, text in zip(vectors, texts, strict=True):
            wanted = count * (_FUSED if hybrid else 1)
            query = self._query(vector, text if hybrid else None, index, wanted)
            # A hybrid query selects columns itself, and LanceDB warns of any choice.
            query = query if hybrid else query.select([*columns, score])
            found = (query.where(where) if where else query).to_arrow().slice(0, count)
            scores = found[score].to_numpy()
            yield scores if hybrid else 1 - scores, found.select(list(columns))

    def _query(self, vector: np.ndarray, text: str | None, index: IndexReport | None, count: int) -> Any:
        names = {"vector_column_name": self.store.vector_column}
        if text is None:
            query = self.table.search(vector, **names)
        else:
            names["fts_columns"] = self.store.text_column
            query = self.table.search(query_type="hybrid", **names).vector(vector).text(text)
        query = query.distance_type(_METRIC).limit(count)
        if index is None:
            return query.bypass_vector_index()
        query = query.nprobes(index.probes).ef(max(4 * index.probes, _REFINED * count))
        return query.refine_factor(_REFINED) if index.kind == "hnsw-sq" else query

    def index(self) -> IndexReport | None:
        """The index that was built and measured; None without one."""
        path = self.store.folder / _RECORD
        return IndexReport(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def build_index(self, kind: str) -> IndexReport:
        """Build an index of the vectors, and measure its recall, which is stored beside it.

        Raises:
            WorkError: the recall is below 0.95, and there is no index now; or another process is building one.
        """
        with self._alone("index"):
            started, path = time.monotonic(), self.store.folder / _RECORD
            path.unlink(missing_ok=True)
            config = getattr(needed("lancedb.index", "lance", "an index"), INDEXES[kind])
            info(f"{self.store.folder}: building the index {kind} of {len(self.store):,} rows")
            self.table.create_index(self.store.vector_column, config=config(distance_type=_METRIC))
            recall, probes = self._measured(kind)
            if recall < LEAST_RECALL:
                self.table.drop_index(_name_of(self.table, lambda name: name != "FTS"))
                raise WorkError(
                    f"the index {kind} finds {recall:.3f} of the 10 nearest rows, less than {LEAST_RECALL}: it was "
                    "removed; use index='ivf-flat' or index='exact'"
                )
            report = IndexReport(
                kind, round(recall, 4), probes, len(self.store), round(time.monotonic() - started, 1)
            )
            write_json(path, report.to_dict())
        info(f"recall@10 of the index: {recall:.3f}, with {probes} probes")
        return report

    def require_words(self) -> None:
        """Build the index of words of the texts, if there is none."""
        if not _name_of(self.table, lambda name: name == "FTS"):
            with self._alone("index of words"):
                info(f"{self.store.folder}: building the index of words")
                words = needed("lancedb.index", "lance", "full text").FTS(
                    base_tokenizer="icu", stem=False, remove_stop_words=False
                )
                self.table.create_index(self.store.text_column, config=words)

    def _measured(self, kind: str) -> tuple[float, int]:
        """Recall@10, and with how many probes: the fewest that are good, or else the most."""
        drawn = np.random.default_rng(0).choice(
            len(self.store), min(_QUERIES, len(self.store)), replace=False
        )
        sample = self.table.take_offsets(sorted(drawn.tolist())).with_row_id().to_arrow()
        vectors = self.store.vector_format.restore(self.store.stored(sample))
        exact = self._distances(vectors, sample["_rowid"], None)
        recall, probes = 0.0, 0
        for probes in _PROBES:
            found = self._distances(vectors, sample["_rowid"], IndexReport(kind, 0, probes, 0, 0))
            hits = sum(
                int((mine <= all_rows[-1] + _ROUNDING).sum())
                for mine, all_rows in zip(found, exact, strict=True)
            )
            recall = hits / sum(map(len, exact))
            if recall >= _GOOD_RECALL:
                break
        return recall, probes

    def _distances(
        self, vectors: np.ndarray, own: pa.ChunkedArray, index: IndexReport | None
    ) -> list[np.ndarray]:
        """Distances of the nearest rows of each vector, without its own row."""
        distances = []
        for vector, row in zip(vectors, own.to_pylist(), strict=True):
            query = self._query(vector, None, index, _DEPTH + 1).with_row_id(True)
            found = query.select(["_rowid", "_distance"]).to_arrow()
            others = found["_rowid"].to_numpy() != row
            distances.append(found["_distance"].to_numpy()[others][:_DEPTH])
        return distances

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        lock = FileLock(self.store.folder / _LOCK)
        if not lock.try_exclusive():
            raise WorkError(
                f"{lock.holder()} is building an {what} of {self.store.folder}: try again when it is done"
            )
        try:
            yield
        finally:
            lock.release(remove=True)


def _name_of(table: Any, wanted: Any) -> str:
    return next((str(index.name) for index in table.list_indices() if wanted(index.index_type)), "")
