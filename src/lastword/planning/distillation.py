"""Memory, time and disk of making a student, before it begins."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]

from lastword.config import train_config
from lastword.console import load_libraries
from lastword.corpus.texts import Corpus
from lastword.distillation.distill import check_distillation
from lastword.distillation.shallow import TeacherObjective, training_settings
from lastword.distillation.static import DIM, VOCABULARY
from lastword.distillation.teacher import HELD_OUT, MOST_HELD_OUT
from lastword.distillation.tokens import bags, token_texts, train_tokenizer
from lastword.files.sources import Source
from lastword.geometry import unit
from lastword.planning.embedding import Encoding, first_texts
from lastword.planning.memory import Machine
from lastword.planning.result import Plan
from lastword.planning.shape import DEPTHS
from lastword.planning.training import plan_run

_PRODUCTS = 250  # of the texts with the vectors of tokens, until the ridge has converged for each strength
_COPIES = 3  # of the vectors of the teacher, and of those of tokens


def plan_distillation(
    model: str | Path,
    texts: Source,
    *,
    student: str = "static",
    text_column: str = "text",
    max_texts: int | None = 50_000,
    vocabulary: int | None = None,
    truncate_dim: int | None = None,
    layer: int | None = None,
    steps: int | None = None,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory, time and disk of `distill`; the weights of the model are not needed.

    Args:
        model: name or folder of a decoder.
        texts: file of the texts.
        student, text_column, max_texts, vocabulary, truncate_dim, layer, steps, template, pooling, batch_tokens,
            dtype: as for `distill`.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `distill`.
    """
    own = {"vocabulary": vocabulary, "truncate_dim": truncate_dim, "layer": layer, "steps": steps}
    check_distillation(model, student, own, template, pooling)
    corpus = Corpus.find([texts], text_column)
    load_libraries("torch", "transformers.modeling_utils")
    sample, count = first_texts(corpus), min(corpus.count_read(), max_texts or 10**12)
    encoding = Encoding.of(
        "distilling", model, sample, Machine.of(device, gpu_memory), batch_tokens=batch_tokens, dtype=dtype,
        template=template, pooling=pooling,
    )  # fmt: skip
    if student == "shallow":
        settings = {"batch_tokens": batch_tokens, "dtype": dtype}
        return _shallow(encoding, sample, count, layer or max(1, encoding.shape.layers // 4), steps, settings)
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


def _shallow(
    encoding: Encoding, sample: list[str], count: int, layer: int, steps: int | None, settings: dict[str, Any]
) -> Plan:
    """The plan of a shallow student: the teacher stays in memory while the student is trained."""
    held_out = min(count // HELD_OUT, MOST_HELD_OUT)
    embedder, fitted = encoding.shape.shallow(DEPTHS[0]), count - 2 * held_out
    config = train_config(training_settings(encoding.name, embedder, layer, steps, fitted, **settings))
    vectors = unit(np.random.default_rng(0).normal(size=(len(sample), encoding.dim))).astype(np.float32)
    training = plan_run(config, TeacherObjective(sample, vectors, config), encoding.machine, fitted, held_out)
    data = 4.0 * _COPIES * count * encoding.dim + count * encoding.characters
    memory = replace(
        training.memory,
        weights=training.memory.weights + encoding.shape.weights_bytes(encoding.precision),
        data=data if encoding.machine.device == "cpu" else 0.0,
    )
    embedding = encoding.memory(data, count)
    return encoding.plan(
        count, max(memory, embedding, key=lambda each: each.peak),
        {"texts": encoding.seconds(count), "training": training.seconds}, training.disk,
        student=f"{layer} of {encoding.shape.depth} layers, {config.steps:,} steps of {config.batch_pairs} texts",
    )  # fmt: skip


def _product_seconds(texts: sparse.csr_array, dim: int) -> float:
    """Time of a product of the texts, sparse (n, tokens), with the vectors of the tokens, and back."""
    vectors, across = np.ones((texts.shape[1], dim), np.float32), texts.T.tocsr()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        across @ (texts @ vectors)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
