"""Texts to pooled vectors in five steps: compile the template, tokenize, batch, run the forward pass, pool."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lastword.arguments import whole_number
from lastword.embedding.backbone import Backbone
from lastword.embedding.pooling import Pool, Pooling, joined
from lastword.embedding.spec import EmbedderSpec
from lastword.embedding.template import CompiledTemplate
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Batch, Sequences, group_by_length, pad, tokenize
from lastword.errors import RequestError

BATCH_TOKENS = {"cpu": 4096, "cuda": 65_536, "mps": 8192}
LayerPooling = tuple[int, str]
"""A hidden state and a pooling of it, as `Pooling.parse` reads it."""


@dataclass(frozen=True)
class Pipeline:
    """A model, its tokenizer and a spec: everything that turns a text into a vector.

    Attributes:
        backbone: the language model.
        tokenizer: its tokenizer.
        spec: template, pooling, layer, …; completed for the model.
    """

    backbone: Backbone
    tokenizer: TextTokenizer
    spec: EmbedderSpec

    def __post_init__(self) -> None:
        """Check the spec against the model.

        Raises:
            RequestError, TemplateError: the model or the tokenizer cannot do what the spec asks for.
        """
        if self.spec.attention != self.backbone.attends:
            object.__setattr__(self, "backbone", self.backbone.attending(self.spec.attention))
        backbone = self.backbone
        spec = self.spec.fitted(backbone.layers, backbone.positions, backbone.name)
        object.__setattr__(self, "spec", spec)
        self.layers_read([spec.pooling], [self.layer])
        for member in self.members:
            member.compile(spec.pooling.needs_eos)

    def variant(self, **changes: Any) -> Pipeline:
        """The same model with another spec; weights are shared. See `EmbedderSpec.changed`."""
        return Pipeline(self.backbone, self.tokenizer, self.spec.changed(**changes))

    @cached_property
    def compiled(self) -> CompiledTemplate:
        """The template as ids, with the end-of-text token that the pooling may need.

        Raises:
            TemplateError: it is an average of templates.
        """
        return self.compile(self.spec.pooling.needs_eos)

    @property
    def members(self) -> list[Pipeline]:
        """A pipeline for each template of an average; this one alone where there is one template."""
        return [self.variant(template=each) for each in self.spec.template.averaged] or [self]

    @property
    def layer(self) -> int:
        """Number of the hidden state that is pooled."""
        return self.backbone.layers if self.spec.layer is None else self.spec.layer

    @property
    def max_tokens(self) -> int:
        """Longest sequence, template included."""
        assert self.spec.max_tokens is not None  # set by `fitted`
        return self.spec.max_tokens

    @property
    def identity(self) -> str:
        """A string that changes whenever vectors may: spec, weights, configuration, precision, tokenizer."""
        bos = " ".join(str(member.compiled.bos) for member in self.members)
        parts = [self.spec.identity, bos, self.backbone.identity, self.tokenizer.identity]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def compile(self, append_eos: bool) -> CompiledTemplate:
        """The template as ids.

        Args:
            append_eos: end in an end-of-text token, which takes no room from the text.
        """
        template = self.spec.template
        if not append_eos or template.eos:
            return template.compile(self.tokenizer, self.max_tokens)
        if self.max_tokens == self.backbone.positions:
            raise RequestError(
                f"eos pooling takes one position more than max_tokens={self.max_tokens}, "
                f"all that {self.backbone.name} has: use max_tokens={self.max_tokens - 1}"
            )
        return dataclasses.replace(template, eos=True).compile(self.tokenizer, self.max_tokens + 1)

    def tokenize(
        self, texts: Sequence[str], append_eos: bool | None = None, numbers: Sequence[int] | None = None
    ) -> Sequences:
        """Wrap and tokenize.

        Args:
            texts: n strings.
            append_eos: as for `compile`; None does as the pooling needs.
            numbers: row numbers to name in an error; None counts from 0.
        """
        append = self.spec.pooling.needs_eos if append_eos is None else append_eos
        return tokenize(texts, self.compile(append), self.tokenizer, numbers)

    def batch_tokens(self, batch_tokens: int | None) -> int:
        """The number of padded tokens of a batch: the one given, or the default of the device."""
        if batch_tokens is None:
            return BATCH_TOKENS[self.backbone.device.type]
        return whole_number("batch_tokens", batch_tokens, least=1)

    def batches(self, sequences: Sequences, batch_tokens: int | None = None) -> Iterator[Batch]:
        """Padded batches, longest rows first, each of at most `batch_tokens` padded tokens."""
        for rows in group_by_length([len(ids) for ids in sequences.ids], self.batch_tokens(batch_tokens)):
            yield pad(sequences, rows, self.tokenizer.pad_id, self.backbone.device)

    def vectors(self, batch: Batch) -> Tensor:
        """Vectors of a batch as the spec says, (batch, dim) float32, not normalised, differentiable."""
        return self.pooled(batch, [self.spec.pooling], [self.layer])[self.layer, self.spec.pooling.spec]

    def pooled(
        self, batch: Batch, poolings: Sequence[Pooling], layers: Sequence[int]
    ) -> dict[LayerPooling, Tensor]:
        """Several poolings of several layers from one pass over a batch.

        Args:
            batch: tokenized with `append_eos` if any of the poolings needs it.
            poolings: of the same pass, see `passes`.
            layers: hidden states, 0 … number of layers.

        Returns:
            (layer, pooling) → (batch, dim) float32, not normalised, differentiable.
        """
        appended = any(pooling.needs_eos for pooling in poolings) and not self.spec.template.eos
        ends_only = all(pooling.reads_last and (pooling.needs_eos or not appended) for pooling in poolings)
        if ends_only and set(layers) == {self.backbone.layers}:
            last = self.backbone.last(batch, self.spec.norm).float()
            return {(self.backbone.layers, pooling.spec): last for pooling in poolings}
        ditto = any(part.ditto for pooling in poolings for part in pooling.parts)
        masks = pooling_masks(batch, poolings, appended, self.backbone.importance(batch) if ditto else None)
        hidden = self.backbone.hidden(batch, self.layers_read(poolings, layers), self.spec.norm)
        return {
            (layer, pooling.spec): pool(
                pooling, {count: mean for count, (mean,) in means.items()}, masks, self.backbone.trained_pool
            )
            for layer, means in layer_means(((layer, (each,)) for layer, each in hidden), poolings, layers)
            for pooling in poolings
        }

    def layers_read(self, poolings: Sequence[Pooling], layers: Sequence[int]) -> list[int]:
        """The hidden states that poolings of some layers read, in ascending order.

        Raises:
            RequestError: a pooling averages more hidden states than there are, or has weights that the model lacks.
            ModelError: a pooling reads attention, which no path of the model gives.
        """
        for pooling in poolings:
            if pooling.trainable and self.backbone.trained_pool is None:
                raise no_weights(pooling, self.backbone.name)
            if any(part.ditto for part in pooling.parts):
                self.backbone.require_importance()
            if (most := max(part.layers for part in pooling.parts)) > min(layers) + 1:
                raise RequestError(
                    f"pooling {pooling.spec!r} averages {most} hidden states: up to layer {min(layers)} there are "
                    f"{min(layers) + 1}"
                )
        counts = {part.layers for pooling in poolings for part in pooling.parts}
        return sorted({layer - i for layer in layers for i in range(max(counts))})

    def dim(self, pooling: Pooling) -> int:
        """Width of the vectors of a pooling."""
        return self.backbone.dim * len(pooling.parts)

    def passes(self, poolings: Sequence[Pooling]) -> list[list[Pooling]]:
        """Group poolings by the passes they need.

        One pass serves all where attention is causal: an end-of-text token, appended for some, changes no
        state before it. Otherwise those that need the token have a pass of their own.
        """
        if self.backbone.causal or self.spec.template.eos:
            return [list(poolings)]
        groups = [[pooling for pooling in poolings if pooling.needs_eos is needs] for needs in (True, False)]
        return [group for group in groups if group]


def no_weights(pooling: Pooling, model: str) -> RequestError:
    """What is wrong with a pooling that has weights, which a model lacks."""
    return RequestError(
        f"pooling {pooling.spec!r} has weights of its own, and {model} has none: train them with `lastword train "
        f"--pooling {pooling.spec}`, or use another pooling"
    )


def layer_means(
    hidden: Iterable[tuple[int, tuple[Tensor, ...]]], poolings: Sequence[Pooling], layers: Sequence[int]
) -> Iterator[tuple[int, dict[int, tuple[Tensor, ...]]]]:
    """Means over each layer and those below it.

    Args:
        hidden: (layer, states), in ascending order: all layers that are read.
        poolings: what reads them.
        layers: those to yield.

    Yields:
        (layer, number of hidden states → their mean in float32, or the states themselves for one).
    """
    counts = {part.layers for pooling in poolings for part in pooling.parts}
    recent: list[tuple[Tensor, ...]] = []
    for layer, states in hidden:
        recent = [*recent, states][-max(counts) :]
        if layer in layers:
            yield layer, {count: _mean_of(recent[-count:]) for count in counts}


def _mean_of(states: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    if len(states) == 1:
        return states[0]
    return tuple(torch.stack([each.float() for each in same]).mean(0) for same in zip(*states, strict=True))


def pooling_masks(
    batch: Batch, poolings: Sequence[Pooling], appended_eos: bool, importance: Tensor | None = None
) -> dict[Pooling, Tensor]:
    """The positions that each part of a pooling reads, (batch, seq) bool; or their weights, which sum to their number.

    Args:
        batch: its masks.
        poolings: which.
        appended_eos: see `pooling_mask`.
        importance: (batch, seq) weights, for poolings that need them.
    """
    masks = {}
    for part in dict.fromkeys(part for pooling in poolings for part in pooling.parts):
        masks[part] = mask = pooling_mask(batch, part, appended_eos)
        if part.ditto and importance is not None:
            weights = importance * mask
            masks[part] = weights * (mask.sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp(min=1e-9))
    return masks


def pool(
    pooling: Pooling, states: Mapping[int, Tensor], masks: Mapping[Pooling, Tensor], trained: Pool | None
) -> Tensor:
    """(batch, dim) float32 of a pooling, its parts one after another.

    Args:
        pooling: which.
        states: number of hidden states → their mean, (batch, seq, dim).
        masks: of its parts.
        trained: the model's pooling that has weights, if it has one.
    """
    return joined([part(states[part.layers], masks[part], trained) for part in pooling.parts])


def pooling_mask(batch: Batch, pooling: Pooling, appended_eos: bool) -> Tensor:
    """(batch, seq) bool: the positions that a pooling reads.

    Args:
        batch: its masks.
        pooling: over the text's own tokens, or over the whole sequence.
        appended_eos: the last token of each row is there for the poolings that need it alone.
    """
    if pooling.over == "text":
        return batch.text_mask
    if appended_eos and not pooling.needs_eos:
        count = batch.attention_mask.long().cumsum(1)
        return batch.attention_mask & (count < count[:, -1:])
    return batch.attention_mask
