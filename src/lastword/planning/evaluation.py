"""Memory and time of scoring a model on labelled texts, before it begins."""

from __future__ import annotations

from pathlib import Path

from lastword.console import load_libraries
from lastword.corpus.texts import Corpus
from lastword.files.sources import Source
from lastword.planning.embedding import Encoding, first_texts
from lastword.planning.grouping import VectorCosts
from lastword.planning.memory import Machine
from lastword.planning.result import Plan

_COPIES = 4  # of the vectors: as embedded, scaled, drawn and in k-means


def plan_evaluation(
    data: Source,
    model: str | Path = "mini",
    *,
    text_column: str = "text",
    max_texts: int | None = None,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory and time of `evaluate` for a clustering with one model; the other tasks score quicker.

    Args:
        data: file of the texts.
        model, text_column, max_texts, template, pooling, batch_tokens, dtype: as for `evaluate`.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `evaluate`.
    """
    corpus = Corpus.find([data], text_column)
    load_libraries("torch", "transformers.modeling_utils", "sklearn.cluster")
    sample, count = first_texts(corpus), min(corpus.count_read(), max_texts or 10**12)
    encoding = Encoding.of(
        "scoring", model, sample, Machine.of(device, gpu_memory), batch_tokens=batch_tokens, dtype=dtype,
        template=template, pooling=pooling,
    )  # fmt: skip
    stages: dict[str, float | None] = {"embedding": encoding.seconds(count), "scoring": None}
    if encoding.machine.timed:
        costs = VectorCosts.of(encoding.dim)
        stages["scoring"] = 2 * costs.cluster_score(count)  # TF-IDF is in the table too
    texts = count * encoding.characters
    bytes_of_data = texts + _COPIES * 4.0 * count * encoding.dim
    return encoding.plan(count, encoding.memory(bytes_of_data, count), stages, 0.0)
