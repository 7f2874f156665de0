"""Memory, time and disk of making a static student, before it begins."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]

from lastword.console import load_libraries
from lastword.corpus.texts import Corpus
from lastword.distillation.static import DIM, VOCABULARY
from lastword.distillation.tokens import bags, token_texts, train_tokenizer
from lastword.files.sources import Source
from lastword.planning.embedding import Encoding, first_texts
from lastword.planning.memory import Machine
from lastword.planning.result import Plan

_PRODUCTS = 250  # of the texts with the vectors of tokens, until the ridge has converged for each strength
_COPIES = 3  # of the vectors of the teacher, and of those of tokens


def plan_distillation(
    model: str | Path,
    texts: Source,
    *,
    text_column: str = "text",
    max_texts: int | None = 50_000,
    vocabulary: int | None = None,
    truncate_dim: int | None = None,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory, time and disk of `distill` for a static student; the weights of the model are not needed.

    Args:
        model: name or folder of a decoder.
        texts: file of the texts.
        text_column, max_texts, vocabulary, truncate_dim, template, pooling, batch_tokens, dtype: as for `distill`.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `distill`.
    """
    corpus = Corpus.find([texts], text_column)
    load_libraries("torch", "transformers.modeling_utils")
    sample, count = first_texts(corpus), min(corpus.count(), max_texts or 10**12)
    encoding = Encoding.of(
        "distilling", model, sample, Machine.of(device, gpu_memory), batch_tokens=batch_tokens, dtype=dtype,
        template=template, pooling=pooling,
    )  # fmt: skip
    tokenizer = train_tokenizer(sample, vocabulary or VOCABULARY)
    words = token_texts(tokenizer)
    tokens = min(vocabulary or VOCABULARY, round(len(words) * (count / len(sample)) ** 0.5))
    dim = min(truncate_dim or DIM, encoding.dim)
    stages: dict[str, float | None] = dict.fromkeys(("texts", "tokens", "fitting"))
    if (embedding := encoding.seconds(count)) is not None:
        of_tokens = encoding.like(words)
        stages = {
            "texts": embedding,
            "tokens": of_tokens.seconds(tokens),
            "fitting": _PRODUCTS * _product_seconds(bags(tokenizer, sample), dim) * count / len(sample),
        }
    data = 4.0 * _COPIES * (count + tokens) * encoding.dim + count * encoding.characters
    return encoding.plan(
        count,
        encoding.memory(data, count + tokens),
        stages,
        4.0 * tokens * dim,
        student=f"{tokens:,} tokens of {dim} dimensions",
    )


def _product_seconds(texts: sparse.csr_array, dim: int) -> float:
    """Time of a product of the texts, sparse (n, tokens), with the vectors of the tokens, and back."""
    vectors, across = np.ones((texts.shape[1], dim), np.float32), texts.T.tocsr()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        across @ (texts @ vectors)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
