"""Memory, time and disk of embedding a corpus, before it begins."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lastword.console import load_libraries
from lastword.corpus.texts import CHUNK_BYTES, Corpus
from lastword.embedding.device import torch_dtype
from lastword.embedding.pipeline import BATCH_TOKENS
from lastword.files.sources import Source
from lastword.planning.costs import seconds_of_embedding, truncated_shares
from lastword.planning.memory import Machine, Memory, require_fit, smaller_batches
from lastword.planning.result import Plan
from lastword.planning.shape import DEPTHS, Shape

_SAMPLE = 4096
_FLOPS = 1e11  # of a timed round: about a second of one core
_BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 1 / 8}


def plan_embedding(
    inputs: Source | Sequence[Source],
    model: str | Path = "mini",
    *,
    text_column: str = "text",
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    vector_dtype: str = "float32",
    truncate_dim: int | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory, time and disk of `embed_corpus`; the weights of the model are not needed.

    Tokens are counted on the first 4,096 texts. Time is measured on few layers of the model's widths, with random
    weights, and extrapolated to all layers and texts.

    Args:
        inputs, text_column, template, pooling, batch_tokens, dtype, vector_dtype, truncate_dim: as `embed_corpus`.
        model: name or folder of a decoder; its configuration and tokenizer are read.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `embed_corpus`.
    """
    corpus = Corpus.find(inputs, text_column)
    load_libraries("torch", "transformers.modeling_utils")
    shape = Shape.read(model, template=template, pooling=pooling)
    machine = Machine.of(device, gpu_memory)
    sample = _sample(corpus)
    count = corpus.count()
    precision = torch_dtype(dtype or machine.dtype, torch.device(machine.device if machine.here else "cpu"))
    characters = sum(map(len, sample)) / len(sample) * count
    data = 3.0 * min(CHUNK_BYTES, characters)  # a chunk as read and as decoded, and the next one

    def memory(changes: Mapping[str, Any]) -> Memory:
        chosen = torch_dtype(changes["dtype"], torch.device("cpu")) if "dtype" in changes else precision
        tokens = changes.get("batch_tokens", batch_tokens) or BATCH_TOKENS[machine.device]
        activations = tokens * shape.forward_bytes_per_token(chosen.itemsize)
        return Memory(machine.process, shape.weights_bytes(chosen), 0.0, activations, data)

    require_fit(
        f"embedding with {model}", machine, lambda changes: memory(changes).peak,
        [*smaller_batches(batch_tokens or BATCH_TOKENS[machine.device], 256), {"dtype": "bfloat16"}],
    )  # fmt: skip
    embedders = {depth: shape.shallow(depth, dtype) for depth in DEPTHS}
    pipeline = embedders[DEPTHS[0]].pipeline
    started = time.perf_counter()
    whole = pipeline.variant(max_tokens=pipeline.backbone.positions - 1).tokenize(sample)
    tokenizing = (time.perf_counter() - started) / len(sample)
    lengths = [min(len(ids), pipeline.max_tokens) for ids in whole.ids]
    tokens = round(sum(lengths) / len(lengths) * count)
    seconds = None
    if machine.here:
        few = pipeline.tokenize(_few(sample, lengths, shape))
        each = seconds_of_embedding(embedders, few, batch_tokens)
        seconds = tokens * each.at(shape.layers) + count * tokenizing
    dim = truncate_dim or pipeline.dim(pipeline.spec.pooling)
    return Plan(
        model=str(model),
        layers=shape.layers,
        parameters=shape.layers * shape.layer_weights + shape.other_weights,
        dtype=str(precision).removeprefix("torch."),
        texts=count,
        tokens=tokens,
        truncated=truncated_shares([len(ids) for ids in whole.ids], pipeline.backbone.positions),
        max_tokens=pipeline.max_tokens,
        memory=memory({}),
        machine=machine,
        seconds=seconds,
        disk=count * dim * _BYTES[vector_dtype],
        facts={"vectors": f"{count:,} of {dim} dimensions, {vector_dtype}"},
    )


def _sample(corpus: Corpus) -> list[str]:
    """The first usable texts."""
    texts: list[str] = []
    for rows in corpus.chunks():
        texts += rows.texts[: _SAMPLE - len(texts)]
        if len(texts) >= _SAMPLE:
            break
    return texts


def _few(texts: Sequence[str], lengths: Sequence[int], shape: Shape) -> list[str]:
    """As many texts, drawn with a fixed seed, as take a second or two on one core."""
    budget, chosen = _FLOPS / (2 * shape.layer_weights * sum(DEPTHS)), list[str]()
    order = random.Random(0).sample(range(len(texts)), len(texts))
    for row in order:
        if chosen and budget < lengths[row]:
            break
        budget -= lengths[row]
        chosen.append(texts[row])
    return chosen
