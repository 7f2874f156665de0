"""Memory, time and disk of embedding a corpus, before it begins."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lastword.console import load_libraries
from lastword.corpus.embed import check_request
from lastword.corpus.texts import CHUNK_BYTES, Corpus
from lastword.embedding.device import torch_dtype
from lastword.embedding.pipeline import BATCH_TOKENS
from lastword.embedding.windows import LongTexts
from lastword.files.sources import Source
from lastword.planning.costs import Linear, seconds_of_embedding, truncated_shares, whole_lengths
from lastword.planning.memory import LATER_BYTES, Machine, Memory, require_fit, smaller_batches
from lastword.planning.result import Plan
from lastword.planning.shape import DEPTHS, Shape

SAMPLE = 4096
"""Texts that are counted."""
_CACHED_TOKENS = 500_000  # after which caches of matrix products hardly grow
_FLOPS = 1e11  # of a timed round: about a second of one core
_BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 1 / 8}


@dataclass(frozen=True)
class Encoding:
    """What it costs to embed texts like those of a sample.

    Attributes:
        name: name or folder of the model.
        shape: of the model.
        machine: where it is planned for.
        precision: of the weights.
        batch_tokens: padded tokens in one pass.
        lengths: tokens of the texts of the sample, template included, none truncated.
        max_tokens: longest sequence of the run.
        positions: longest sequence that the model takes.
        dim: of a vector.
        each: seconds of a token in the forward pass, by the number of layers; None where it is not timed.
        tokenizing: seconds of a text.
        characters: of a text, on average.
    """

    name: str
    shape: Shape
    machine: Machine
    precision: torch.dtype
    batch_tokens: int
    lengths: list[int]
    max_tokens: int
    positions: int
    dim: int
    each: Linear | None
    tokenizing: float
    characters: float

    @classmethod
    def of(
        cls, what: str, model: str | Path, sample: Sequence[str], machine: Machine, *, data: float = 0.0,
        batch_tokens: int | None = None, dtype: str | None = None, **spec: Any,
    ) -> Encoding:  # fmt: skip
        """Count the tokens of a sample, and time a few of its texts on few layers of the model's widths.

        Args:
            what: the run, for the message if it does not fit.
            model: name or folder of a decoder; its configuration and tokenizer are read.
            sample: texts.
            machine: where it is planned for.
            data: bytes of texts and vectors that are in memory together.
            batch_tokens, dtype: of the run; None is the default.
            **spec: template, pooling and so on; None is the model's own.

        Raises:
            RequestError: it does not fit into memory; the message names what would.
            MissingFileError, ModelError: see the message.
        """
        shape = Shape.read(model, **spec)
        precision = torch_dtype(
            dtype or machine.dtype, torch.device(machine.device if machine.here else "cpu")
        )
        tokens = batch_tokens or BATCH_TOKENS[machine.device]

        def peak(changes: Mapping[str, Any]) -> float:
            chosen = torch_dtype(changes["dtype"], torch.device("cpu")) if "dtype" in changes else precision
            return _memory(shape, machine, chosen, changes.get("batch_tokens", tokens), data).peak

        changes = [*smaller_batches(tokens, 256), {"dtype": "bfloat16"}]
        require_fit(f"{what} with {model}", machine, peak, changes)
        embedders = {depth: shape.shallow(depth, dtype) for depth in DEPTHS}
        pipeline = embedders[DEPTHS[0]].pipeline
        started = time.perf_counter()
        lengths = whole_lengths(pipeline, sample)
        tokenizing = (time.perf_counter() - started) / len(sample)
        each = None
        if machine.timed:
            few = pipeline.tokenize(_few(sample, [min(n, pipeline.max_tokens) for n in lengths], shape))
            each = seconds_of_embedding(embedders, few, batch_tokens)
        return cls(
            str(model), shape, machine, precision, tokens, lengths, pipeline.max_tokens, pipeline.backbone.positions,
            pipeline.dim(pipeline.spec.pooling), each, tokenizing, sum(map(len, sample)) / len(sample),
        )  # fmt: skip

    def like(self, sample: Sequence[str]) -> Encoding:
        """The same for texts like those of another sample; their speed in tokens is the same."""
        pipeline = self.shape.shallow(DEPTHS[0], None).pipeline
        return replace(
            self, lengths=whole_lengths(pipeline, sample), characters=sum(map(len, sample)) / len(sample)
        )

    def tokens(self, texts: float) -> int:
        """Tokens of so many texts."""
        return round(sum(min(n, self.max_tokens) for n in self.lengths) / len(self.lengths) * texts)

    def seconds(self, texts: float, layers: int | None = None) -> float | None:
        """Time of so many texts; None where it is not timed.

        Args:
            texts: how many.
            layers: that are run; None is up to the pooled one.
        """
        if self.each is None:
            return None
        return self.tokens(texts) * self.each.at(layers or self.shape.layers) + texts * self.tokenizing

    def memory(self, data: float, texts: float | None = None) -> Memory:
        """At the peak.

        Args:
            data: bytes of texts and vectors.
            texts: how many are embedded: caches grow with them; None is very many.
        """
        memory = _memory(self.shape, self.machine, self.precision, self.batch_tokens, data)
        if texts is None or self.machine.device != "cpu":
            return memory
        unused = LATER_BYTES * max(0.0, 1 - self.tokens(texts) / _CACHED_TOKENS)
        return replace(memory, process=memory.process - unused)

    def plan(
        self, texts: int, memory: Memory, stages: Mapping[str, float | None], disk: float, **facts: str
    ) -> Plan:
        """The plan of a run in which so many texts are embedded; it takes as long as its stages."""
        seconds = [value for value in stages.values() if value is not None]
        return Plan(
            model=self.name,
            layers=self.shape.layers,
            parameters=self.shape.layers * self.shape.layer_weights + self.shape.other_weights,
            dtype=str(self.precision).removeprefix("torch."),
            texts=texts,
            tokens=self.tokens(texts),
            truncated=truncated_shares(self.lengths, self.max_tokens, self.positions),
            max_tokens=self.max_tokens,
            memory=memory,
            machine=self.machine,
            seconds=sum(seconds) if self.machine.timed else None,
            disk=disk,
            facts=facts,
            stages=stages,
        )


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
    long_texts: str | None = None,
    per_window: bool = False,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory, time and disk of `embed_corpus`; the weights of the model are not needed.

    Tokens are counted on the first 4,096 texts; with `long_texts` these are cut as the run will cut them. Time is
    measured on few layers of the model's widths, with random weights, and extrapolated to all layers and texts.

    Args:
        inputs, text_column, template, pooling, batch_tokens, dtype, vector_dtype, truncate_dim: as `embed_corpus`.
        long_texts, per_window: as `embed_corpus`.
        model: name or folder of a decoder; its configuration and tokenizer are read.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `embed_corpus`.
    """
    check_request(model, vector_dtype, "parquet", False, False, truncate_dim, pooling, long_texts, per_window)
    corpus = Corpus.find(inputs, text_column)
    load_libraries("torch", "transformers.modeling_utils")
    sample, count = first_texts(corpus), corpus.count_read()
    data, kind = chunk_bytes(sample, count), LongTexts.parse(long_texts or "truncate")
    spec: dict[str, Any] = {"template": template, "pooling": pooling}
    read, windows = sample, sample
    if kind.kind != "truncate":
        read, windows, batch_tokens, longest = _passes(Shape.read(model, **spec), sample, kind, batch_tokens)
        spec |= longest
    encoding = Encoding.of(
        "embedding", model, read, Machine.of(device, gpu_memory), data=data, batch_tokens=batch_tokens, dtype=dtype,
        **spec,
    )  # fmt: skip
    dim, passes = truncate_dim or encoding.dim, round(count * len(read) / len(sample))
    rows = round(count * len(windows) / len(sample)) if per_window else count
    facts = {"vectors": f"{rows:,} of {dim} dimensions, {vector_dtype}"}
    if kind.kind != "truncate":
        facts["long texts"] = f"{count:,} texts in {passes:,} passes of the model"
    disk, stages = rows * dim * _BYTES[vector_dtype], {"embedding": encoding.seconds(passes)}
    plan = encoding.plan(passes, encoding.memory(data, passes), stages, disk, **facts)
    return replace(plan, texts=count, remedy="--long-texts windows reads them whole")


def _passes(
    shape: Shape, sample: Sequence[str], kind: LongTexts, batch_tokens: int | None
) -> tuple[list[str], list[str], int | None, dict[str, int]]:
    """What the model reads of a sample at a time, the windows that get a vector, and the settings for it.

    Late chunking reads as much as the model can in one pass, and pools each window afterwards.
    """
    from lastword.encoders.long_texts import LongTextEncoder

    embedder = shape.shallow(DEPTHS[0])
    windows = [each.part for own in LongTextEncoder(embedder, kind).cut(sample) for each in own]
    if kind.kind == "windows":
        return windows, windows, batch_tokens, {}
    most = embedder.backbone.positions
    whole = LongTextEncoder(embedder.variant(max_tokens=most), "windows")
    read = [each.part for own in whole.cut(sample) for each in own]
    longest = max(len(ids) for ids in whole.encoder.pipeline.tokenize(read).ids)
    return read, windows, max(batch_tokens or BATCH_TOKENS["cpu"], longest), {"max_tokens": most}


def first_texts(corpus: Corpus) -> list[str]:
    """The first usable texts.

    Raises:
        TableError: there is none.
    """
    texts: list[str] = []
    for rows in corpus.chunks():
        texts += rows.texts[: SAMPLE - len(texts)]
        if len(texts) >= SAMPLE:
            break
    if not texts:
        corpus.require_texts()  # says why
    return texts


def chunk_bytes(sample: Sequence[str], count: int) -> float:
    """Bytes of the texts that are in memory while a corpus is embedded: a chunk read and decoded, and the next one."""
    return 3.0 * min(CHUNK_BYTES, sum(map(len, sample)) / len(sample) * count)


def _memory(shape: Shape, machine: Machine, precision: torch.dtype, batch_tokens: int, data: float) -> Memory:
    activations = batch_tokens * shape.forward_bytes_per_token(precision.itemsize)
    here = data if machine.device == "cpu" else 0.0  # a GPU has neither texts nor the vectors of a corpus
    return Memory(machine.process, shape.weights_bytes(precision), 0.0, activations, here)


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
