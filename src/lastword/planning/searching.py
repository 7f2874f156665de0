"""Memory and time of a search in a store, before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lastword.console import load_libraries
from lastword.corpus.lance_table import LanceTable
from lastword.corpus.nearest import nearest
from lastword.corpus.rerank import asking
from lastword.corpus.search import INDEX_ROWS, RESCORED, check_search
from lastword.corpus.store import Store
from lastword.errors import RequestError
from lastword.geometry import unit
from lastword.planning.embedding import SAMPLE, Encoding
from lastword.planning.memory import Machine
from lastword.planning.result import Plan

_WORD = "word "  # a token of nearly every tokenizer
_COPIES = 4  # of the vectors of a shard: as stored, restored, scaled, and the scores beside them
_TIMED = 32  # queries


def plan_search(
    store: str | Path | Store,
    *,
    queries: int = 1,
    tokens: int = 16,
    top: int = 10,
    rescore: bool = False,
    rerank: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory and time of `search`; of the models only configurations and tokenizers are read.

    Comparing is timed on vectors of the store, embedding as for `plan_embedding`. Loading a model is not counted.

    Args:
        store, top, rescore, rerank, model: as for `search`.
        queries: number of queries.
        tokens: of each query.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; as `search`.
        MissingFileError, ModelError: as `search`.
    """
    if min(queries, tokens, top) < 1:
        raise RequestError(f"queries={queries}, tokens={tokens}, top={top}: give 1 or more")
    words = _WORD * tokens
    request = check_search(store, words, rescore=rescore, rerank=rerank, model=model)
    load_libraries("torch", "transformers.modeling_utils")
    opened, machine = request.store, Machine.of(device, gpu_memory)
    loading: dict[str, Any] = opened.manifest["model"].get("loading") or {}
    spec = {name: loading.get(name) for name in ("template", "pooling")}
    rows = max(shard["rows"] for shard in opened.manifest["shards"])
    data = 4.0 * rows * (_COPIES * opened.vector_format.dim + min(queries, 256))
    encoding = Encoding.of(
        "searching", model or loading["model"], [words] * 64, machine, data=data, dtype=loading.get("dtype"), **spec
    )  # fmt: skip
    memory, read = encoding.memory(data, queries), queries * min(len(opened), RESCORED * top)
    wanted = top * (RESCORED if rescore or rerank else 1)
    stages = {"queries": encoding.seconds(queries), "comparing": None}
    if machine.timed:
        stages["comparing"] = _comparing(opened, request.in_lance, queries, wanted)
    facts = {
        "store": f"{len(opened):,} rows of {opened.vector_format.dim} dimensions, {opened.vector_format.dtype}"
    }
    if request.in_lance and len(opened) > INDEX_ROWS and not LanceTable(opened).index():
        facts["index"] = "built by the first search, which takes longer"
    texts = opened.shard(0, [opened.text_column])[opened.text_column].to_pylist()[:SAMPLE]
    if rescore:
        stages["rescoring"] = encoding.like(texts).seconds(read)
        facts["rescored"] = f"{read:,} texts"
    if rerank:
        ranking = Encoding.of("reranking", rerank, texts, machine, data=data, template=asking(words),
                              pooling="lasttoken", norm="post", normalize=False)  # fmt: skip
        stages["reranking"] = ranking.seconds(read)
        facts["reranked"] = f"{read:,} texts by {rerank}, {ranking.tokens(read):,} tokens"
        memory = replace(memory, weights=memory.weights + ranking.memory(data).weights)
    return encoding.plan(queries, memory, stages, 0.0, **facts)


def _comparing(store: Store, in_lance: bool, queries: int, wanted: int) -> float:
    """Time of comparing so many queries with all rows; LanceDB is asked, other stores are read in part."""
    few = min(queries, _TIMED)
    vectors = unit(np.random.default_rng(0).normal(size=(few, store.vector_format.dim))).astype(np.float32)
    if in_lance:
        table = LanceTable(store)
        index, texts = table.index(), [_WORD] * few
        seconds = _seconds(
            lambda: list(table.nearest(vectors, texts, wanted, [], store.columns, index, False))
        )
        return seconds * queries / few
    shard = store.manifest["shards"][0]
    part = Store(store.folder, store.manifest | {"shards": [shard], "rows": shard["rows"]})
    # Reading and scaling the vectors takes as long for one query as for all.
    alone = _seconds(lambda: nearest(part, vectors[:1], wanted))
    each = max(0.0, _seconds(lambda: nearest(part, vectors, wanted)) - alone) / max(1, few - 1)
    return (alone + (queries - 1) * each) * len(store) / max(1, len(part))


def _seconds(work: Callable[[], object]) -> float:
    """Time of some work, the faster of two."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
