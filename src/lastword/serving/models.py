"""The models that are served: texts or token ids → rows of tokens → vectors; adapters of one base model share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from lastword.bundled import model_source
from lastword.console import info, progress
from lastword.embedding import Embedder
from lastword.embedding import folder as folders
from lastword.embedding.adapters import activate_adapter, attach_adapter, can_share
from lastword.embedding.loading import file_states, split_adapter
from lastword.embedding.tokens import Sequences
from lastword.encoder import TextEncoder
from lastword.encoders.by_name import load_encoder
from lastword.errors import RequestError, WorkError
from lastword.geometry import unit

Inputs = Sequence[str] | Sequence[list[int]]
"""Texts, or lists of token ids; none empty."""


@dataclass(frozen=True)
class Row:
    """One input as tokens.

    Attributes:
        ids: token ids, template included; empty for a model that tokenizes texts itself.
        span: (start, end) of the text's own tokens.
        tokens: number of tokens that the model processes.
        text: the text, for a model that tokenizes itself.
    """

    ids: list[int]
    span: tuple[int, int]
    tokens: int
    text: str = ""


class Served(Protocol):
    """A model that is served.

    Attributes:
        dim: width of its vectors.
        normalized: whether its vectors have length 1.
        prompts: name → prompt.
        encoder: what embeds.
        device: of the weights.
    """

    dim: int
    normalized: bool
    prompts: Mapping[str, str]
    encoder: Any
    device: Any

    def rows(self, inputs: Inputs, prompt: str = "") -> tuple[list[Row], int]:
        """Tokenize; may run beside `vectors`. The number is that of truncated inputs.

        Raises:
            RequestError: an input that the model cannot take.
        """

    def vectors(self, rows: Sequence[Row], batch_tokens: int | None) -> np.ndarray:
        """(n, dim) float32; one call at a time for all models."""


@dataclass
class ServedDecoder:
    """A decoder with its template.

    Attributes:
        encoder: the embedder.
        adapters: the model's adapters, if it shares the model with others.
        adapter: name of its own among them; None is the base model.
    """

    encoder: Embedder
    adapters: Adapters | None = None
    adapter: str | None = None
    prompts: Mapping[str, str] = field(init=False)
    dim: int = field(init=False)
    normalized: bool = field(init=False)
    device: Any = field(init=False)

    def __post_init__(self) -> None:
        """Read what the embedder says.

        Raises:
            TemplateError: its template is an average, which has no single sequence for a text.
        """
        _ = self.encoder.pipeline.compiled
        self.prompts, self.dim = self.encoder.spec.prompts, self.encoder.dim
        self.normalized, self.device = self.encoder.spec.normalize, self.encoder.backbone.device

    def rows(self, inputs: Inputs, prompt: str = "") -> tuple[list[Row], int]:
        """See `Served`; token ids are put into the template as a text's own are."""
        pipeline = self.encoder.pipeline
        id_lists = token_ids(inputs)
        if id_lists is None:
            sequences = pipeline.tokenize([f"{prompt}{text}" for text in inputs])
            rows = zip(sequences.ids, sequences.spans, strict=True)
            return [Row(ids, span, len(ids)) for ids, span in rows], sequences.truncated
        _require_known_ids(id_lists, len(pipeline.tokenizer.hf))
        compiled = pipeline.compiled
        made, truncated = [], 0
        for ids in id_lists:
            row, span = compiled.wrapped(ids)
            made.append(Row(row, span, len(row)))
            truncated += len(ids) > compiled.budget
        return made, truncated

    def activate(self) -> None:
        """Let its own adapter act, where the model has several."""
        if self.adapters:
            self.adapters.use(self.adapter)

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Row], batch_tokens: int | None) -> np.ndarray:
        """See `Served`; not scaled."""
        self.activate()
        pipeline = self.encoder.pipeline
        shared = len(pipeline.compiled.prefix_ids) if pipeline.spec.template.boundary == "ids" else 0
        sequences = Sequences([row.ids for row in rows], [row.span for row in rows], 0, shared)
        vectors = np.empty((len(rows), self.dim), np.float32)
        for batch in pipeline.batches(sequences, batch_tokens):
            vectors[batch.rows] = pipeline.vectors(batch).cpu().numpy()
        return vectors


@dataclass
class Adapters:
    """The adapters in one model: which is active.

    Attributes:
        model: the Hugging Face module.
        active: name of the adapter; None is none.
    """

    model: Any
    active: str | None = None

    def use(self, name: str | None) -> None:
        """Switch to another adapter, unless it is active already."""
        if name != self.active:
            activate_adapter(self.model, name)
            self.active = name


class ServedSentenceTransformer:
    """A sentence-transformers model, such as a distilled static one.

    Token ids are for static models only: others put tokens of their own around a text.
    """

    def __init__(self, encoder: Any) -> None:
        model = encoder.model
        self.encoder = encoder
        self.prompts: Mapping[str, str] = {name: text for name, text in model.prompts.items() if text}
        self.dim = int(model.get_embedding_dimension())
        self.normalized = any(type(module).__name__ == "Normalize" for module in model)
        self.device = model.device
        self._static = type(model[0]).__name__ == "StaticEmbedding"

    def rows(self, inputs: Inputs, prompt: str = "") -> tuple[list[Row], int]:
        """See `Served`."""
        tokenizer, id_lists = self.encoder.model.tokenizer, token_ids(inputs)
        if id_lists is not None:
            if not self._static:
                raise RequestError("this model takes texts only: send strings in place of token ids")
            _require_known_ids(id_lists, tokenizer.get_vocab_size())
            return [Row(ids, (0, len(ids)), len(ids)) for ids in id_lists], 0
        texts = [f"{prompt}{text}" for text in inputs]
        if self._static:
            encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return [Row(each.ids, (0, len(each.ids)), len(each.ids)) for each in encodings], 0
        longest = self.encoder.model.max_seq_length or 2**31
        lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        rows = [Row([], (0, 0), min(n, longest), text) for n, text in zip(lengths, texts, strict=True)]
        return rows, sum(length > longest for length in lengths)

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Row], batch_tokens: int | None) -> np.ndarray:
        """See `Served`."""
        if not self._static:
            vectors: np.ndarray = self.encoder.encode([row.text for row in rows])
            return vectors
        model = self.encoder.model
        starts = np.cumsum([0, *(row.tokens for row in rows[:-1])])
        features = {
            "input_ids": torch.tensor([i for row in rows for i in row.ids], dtype=torch.long),
            "offsets": torch.from_numpy(starts),
        }
        features = {name: tensor.to(model.device) for name, tensor in features.items()}
        pooled: np.ndarray = model(features)["sentence_embedding"].float().cpu().numpy()
        return pooled


def shortened(vectors: np.ndarray, dimensions: int | None, normalized: bool) -> np.ndarray:
    """The first dimensions of (n, dim) vectors, scaled to length 1 if the model's are."""
    kept = vectors if dimensions is None else vectors[:, :dimensions]
    return unit(kept) if normalized else kept


def load_models(models: Mapping[str, str], **settings: str | None) -> dict[str, Served]:
    """Load the models; adapters with the same base model share its weights.

    Args:
        models: name → model, see `served_models`.
        **settings: template, pooling, dtype and device; None is the default.

    Raises:
        RequestError: a model that cannot be served.
        MissingFileError, ModelError: a model that cannot be loaded.
        WorkError: the folder of a model changed while it was loaded.
    """
    before = {name: file_states(model) for name, model in models.items()}
    served: dict[str, Served] = {}
    with progress("loading models", len(models)) as advance:
        for names in _sharing(models):
            if len(names) > 1:
                served |= _over_one_base({name: models[name] for name in names}, settings)
            else:
                served |= {name: _served(load_encoder(models[name], **settings)) for name in names}
            advance(len(names))
    for module in {id(module): module for module in map(_module, served.values())}.values():
        _copy_weights(module)
    for name, model in models.items():
        if file_states(model) != before[name]:
            raise WorkError(f"{model} changed while it was loaded: start again when it is complete")
    return {name: served[name] for name in models}


def _module(model: Served) -> torch.nn.Module:
    """The module that has the weights."""
    module: torch.nn.Module = (
        model.encoder.backbone.model if isinstance(model, ServedDecoder) else model.encoder.model
    )
    return module


def _copy_weights(module: torch.nn.Module) -> None:
    """Copy weights that are mapped from a file, in place: they would change when the file does, or be lost."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def token_ids(inputs: Inputs) -> list[list[int]] | None:
    """The inputs if they are lists of token ids, or None if they are texts."""
    return None if isinstance(inputs[0], str) else [ids for ids in inputs if not isinstance(ids, str)]


def _require_known_ids(inputs: Sequence[list[int]], vocabulary: int) -> None:
    """Refuse ids of another tokenizer."""
    for number, ids in enumerate(inputs):
        if (largest := max(ids)) >= vocabulary:
            raise RequestError(
                f"input {number} has token id {largest}: this model has {vocabulary} tokens. Send texts, or ids of "
                "its own tokenizer (LangChain sends another's: check_embedding_ctx_length=False)"
            )


def _served(encoder: TextEncoder) -> Served:
    return ServedDecoder(encoder) if isinstance(encoder, Embedder) else ServedSentenceTransformer(encoder)


def _sharing(models: Mapping[str, str]) -> Iterator[list[str]]:
    """Names of the models in groups that share their weights."""
    groups: dict[str, list[str]] = {}
    for name, model in models.items():
        source = str(model_source(model))
        base, adapter = split_adapter(source, None) if Path(source).is_dir() else (source, None)
        alone = adapter and (base == source or not can_share(Path(source)) or _changes_more(source))
        groups.setdefault(f"{name} alone" if alone else base, []).append(name)
    yield from groups.values()


def _changes_more(folder: str) -> bool:
    """Whether an adapter embeds with more than itself: other attention, or a pooling with weights."""
    stored = folders.read(folder)
    return stored is not None and (stored.spec.attention != "causal" or stored.spec.pooling.trainable)


def _over_one_base(models: Mapping[str, str], settings: Mapping[str, str | None]) -> dict[str, Served]:
    bases = {name: split_adapter(str(model_source(model)), None) for name, model in models.items()}
    base = next(iter(bases.values()))[0]
    loaded = load_encoder(
        next((models[n] for n, (_, adapter) in bases.items() if not adapter), base), **settings
    )
    assert isinstance(loaded, Embedder)
    adapters = Adapters(loaded.backbone.model)
    served: dict[str, Served] = {}
    for number, name in enumerate(models):
        if bases[name][1] is None:
            served[name] = ServedDecoder(loaded, adapters)
            continue
        folder, adapter = Path(model_source(models[name])), f"served{number}"
        attach_adapter(adapters.model, folder, adapter)
        adapters.use(adapter)
        own = {key: value for key, value in settings.items() if key in ("template", "pooling")}
        served[name] = ServedDecoder(loaded.with_adapter(folder, **own), adapters, adapter)
    info(f"{', '.join(models)} share the weights of {base}")
    return served
