"""Texts to vectors: template, tokens, backbone and pooling put together."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lastword.bundled import model_source
from lastword.embedding import folder as folders
from lastword.embedding.backbone import Backbone, Norm
from lastword.embedding.encoding import encode_texts, unit
from lastword.embedding.grid import Grid, encode_grid
from lastword.embedding.pooling import Pooling
from lastword.embedding.template import Boundary, CompiledTemplate, Template
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Batch, Sequences, group_by_length, pad, tokenize
from lastword.embedding.weights import hash_tensors
from lastword.errors import RequestError, unknown_name

DEFAULT_MAX_TOKENS = 512
_BATCH_TOKENS = {"cpu": 4096, "cuda": 65_536, "mps": 8192}


class Embedder:
    """A decoder that embeds texts.

    >>> embedder = Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken")
    >>> embedder.encode(["a red apple", "a green pear"]).shape
    (2, 256)

    Attributes:
        backbone: the language model.
        tokenizer: its tokenizer.
        template: what is put around each text.
        pooling: how hidden states become one vector.
        layer: which hidden state is pooled; None is the last.
        norm: "post" pools after the model's final norm, "pre" before it.
        max_tokens: longest sequence, template included; an appended end-of-text token comes on top.
        normalize: whether `encode` scales vectors to length 1 by default.
        facts: what else the folder should tell: base model, adapter, recipe.
    """

    def __init__(
        self,
        backbone: Backbone,
        tokenizer: TextTokenizer,
        *,
        template: str | Template = "none",
        pooling: str | Pooling = "mean",
        layer: int | None = None,
        norm: Norm = "post",
        max_tokens: int | None = None,
        normalize: bool = True,
        facts: folders.Facts | None = None,
    ) -> None:
        self.backbone, self.tokenizer = backbone, tokenizer
        self.template, self.pooling = Template.parse(template), Pooling.parse(pooling)
        self.layer, self.norm, self.normalize = _checked_layer(layer, backbone.layers), norm, normalize
        if norm not in ("post", "pre"):
            raise RequestError(unknown_name("norm", norm, ["post", "pre"]))
        longest = min(DEFAULT_MAX_TOKENS, backbone.positions - 1)  # one stays free for an end-of-text token
        self.max_tokens = longest if max_tokens is None else max_tokens
        if self.max_tokens > backbone.positions:
            raise RequestError(
                f"max_tokens={self.max_tokens}: {backbone.name} has {backbone.positions} positions; use at most that"
            )
        self.facts = facts or folders.Facts(base=backbone.name)
        self.compiled = self.compile(appends_eos=self.pooling.name == "eos")
        self._hashed: tuple[object, str] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        template: str | Template | None = None,
        pooling: str | Pooling | None = None,
        layer: int | None = None,
        norm: Norm | None = None,
        max_tokens: int | None = None,
        normalize: bool | None = None,
        bos: bool | None = None,
        boundary: Boundary = "ids",
        dtype: str | None = None,
        device: str | None = None,
        revision: str | None = None,
        fused: bool = True,
        quantize: str | None = None,
    ) -> Embedder:
        """Load a base model, or a folder that lastword wrote.

        What is not given is taken from the folder's `lastword.json`; a base model has none and gets
        template "none" and mean pooling over its last layer.

        Args:
            name_or_folder: "mini" (the bundled model), a folder, or a Hub name.
            template: a name in `TEMPLATES` or a string with `{text}`.
            pooling: a name in `POOLINGS`, or such as "mean:text".
            layer: hidden state to pool, 0 … number of layers.
            norm: "post" or "pre" the model's final norm.
            max_tokens: longest sequence in tokens, template included.
            normalize: scale vectors to length 1.
            bos: begin sequences with the begin-of-text token; None does as the tokenizer does.
            boundary: see `Template`.
            dtype: "float32" or "bfloat16"; None is what the device does best.
            device: None is the best there is.
            revision: branch, tag or commit on the Hub.
            fused: use the fast forward where the model's build allows; False is always the model's own.
            quantize: "int8" or "nf4" stores the weights of the layers in 8 or 4 bits: less memory, slower
                on a CPU, slightly other vectors (`pip install 'lastword[quantize]'`).

        Raises:
            MissingFileError, ModelError, TemplateError, RequestError: see the message.
        """
        source = model_source(name_or_folder)
        backbone = Backbone.load(
            source, dtype=dtype, device=device, revision=revision, fused=fused, quantize=quantize
        )
        backbone.name = str(name_or_folder)
        tokenizer = TextTokenizer.load(source, revision)
        stored = folders.read(source, revision)
        facts = stored.facts if stored else folders.Facts(base=str(name_or_folder), revision=revision)
        template = template if template is not None else stored.template if stored else "none"
        pooling = pooling if pooling is not None else stored.pooling if stored else "mean"
        return cls(
            backbone,
            tokenizer,
            template=Template.parse(template, bos=bos, boundary=boundary),
            pooling=pooling,
            layer=layer,
            norm=norm or "post",
            facts=facts,
            max_tokens=max_tokens if max_tokens is not None else stored.max_tokens if stored else None,
            normalize=normalize if normalize is not None else stored.normalize if stored else True,
        )

    @property
    def name(self) -> str:
        """Name or folder of the model."""
        return self.backbone.name

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.backbone.dim

    @property
    def identity(self) -> str:
        """A string that differs whenever vectors may differ: weights, template, pooling, layer, precision."""
        parts = [
            self.weights_hash,
            self.template.hash,
            str(self.compiled.bos),
            self.pooling.spec,
            str(self.layer),
            self.norm,
            str(self.max_tokens),
            str(self.normalize),
            str(self.backbone.dtype),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def weights_hash(self) -> str:
        """SHA-256 of all weights, an adapter's included; computed again only when one was written to."""
        tensors = self.backbone.model.state_dict()
        state = tuple((name, tensor.data_ptr(), tensor._version) for name, tensor in tensors.items())
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = (state, hash_tensors(tensors))
        return self._hashed[1]

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embed texts; each vector depends on its own text only.

        Args:
            texts: n strings; one string alone gives one vector of shape (dim,).
            batch_tokens: padded tokens in one pass of the model; bounds the memory.
            normalize: scale vectors to length 1; None does as the embedder is set.
            truncate_dim: keep only the first dimensions (before scaling).

        Returns:
            (n, dim) float32, in the order of the texts.

        Raises:
            RequestError: something that is no string, or a text without a single token.
        """
        if isinstance(texts, str):
            one: np.ndarray = self.encode([texts], normalize=normalize, truncate_dim=truncate_dim)[0]
            return one
        pooled = self.encode_poolings(texts, [self.pooling], batch_tokens=batch_tokens, normalize=False)
        vectors = pooled[self.pooling.spec][:, : _checked_dim(truncate_dim, self.dim)]
        return unit(vectors) if (self.normalize if normalize is None else normalize) else vectors

    def encode_poolings(
        self,
        texts: Sequence[str],
        poolings: Sequence[str | Pooling],
        *,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
    ) -> dict[str, np.ndarray]:
        """Embed texts with several poolings from one pass of the model.

        Returns:
            Pooling as a string → (n, dim) float32; the same vectors as encoding with each alone.
        """
        if isinstance(texts, str):
            raise RequestError("encode_poolings takes a list of texts, not one string: put it into a list")
        chosen = [Pooling.parse(pooling) for pooling in poolings]
        vectors = encode_texts(self, texts, chosen, batch_tokens)
        scale = self.normalize if normalize is None else normalize
        return {spec: unit(rows_of) if scale else rows_of for spec, rows_of in vectors.items()}

    def encode_grid(
        self,
        texts: Sequence[str],
        templates: Sequence[str | Template],
        poolings: Sequence[str | Pooling] | None = None,
        layers: Sequence[int] | None = None,
        *,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
    ) -> Grid:
        """Embed texts in every combination of templates, poolings and layers, sharing what can be shared.

        Templates whose part before the text is the same share its work and the text's; each part after
        the text costs its own few tokens.

        Args:
            texts: n strings.
            templates: names in `TEMPLATES` or strings with `{text}`.
            poolings: names in `POOLINGS`; None is the embedder's own.
            layers: hidden states, 0 … number of layers; None is the embedder's own.
            batch_tokens: tokens in one pass of the model; bounds the memory.
            normalize: scale vectors to length 1; None does as the embedder is set.

        Returns:
            `GridPoint(template, pooling, layer)` → (n, dim) float32, the vectors that this embedder with
            that template, pooling and layer gives.

        Raises:
            RequestError, TemplateError: something that is none of these.
        """
        if isinstance(texts, str):
            raise RequestError("encode_grid takes a list of texts, not one string: put it into a list")
        own = self.backbone.layers if self.layer is None else self.layer
        chosen = [
            own if one is None else one
            for one in (_checked_layer(k, self.backbone.layers) for k in layers or [own])
        ]
        grid = encode_grid(
            self,
            texts,
            [Template.parse(template) for template in templates],
            [Pooling.parse(pooling) for pooling in poolings or [self.pooling]],
            chosen,
            batch_tokens or _BATCH_TOKENS[self.backbone.device.type],
        )
        scale = self.normalize if normalize is None else normalize
        return {point: unit(vectors) if scale else vectors for point, vectors in grid.items()}

    def tokenize(
        self, texts: Sequence[str], appends_eos: bool | None = None, numbers: Sequence[int] | None = None
    ) -> Sequences:
        """Wrap and tokenize; an appended end-of-text token is the last id of each row."""
        appended = self.pooling.name == "eos" if appends_eos is None else appends_eos
        return tokenize(texts, self.compile(appended), self.tokenizer, numbers)

    def batches(self, sequences: Sequences, batch_tokens: int | None = None) -> Iterator[Batch]:
        """Padded batches, longest first, each of at most `batch_tokens` padded tokens."""
        budget = batch_tokens or _BATCH_TOKENS[self.backbone.device.type]
        for rows in group_by_length([len(ids) for ids in sequences.ids], budget):
            yield pad(sequences, rows, self.tokenizer.pad_id, self.backbone.device)

    def pooled(self, batch: Batch, poolings: Sequence[Pooling] | None = None) -> dict[str, Tensor]:
        """One pass over a batch: pooling as a string → (batch, dim) float32, not normalised, differentiable."""
        chosen = poolings or [self.pooling]
        appended = any(pooling.name == "eos" for pooling in chosen) and not self.template.eos
        if self.layer is None and all(_reads_last(pooling, appended) for pooling in chosen):
            last = self.backbone.last_hidden(batch, self.norm).float()
            return {pooling.spec: last for pooling in chosen}
        hidden = self.backbone.hidden(batch, self.layer, self.norm)
        whole = _without_last(batch.attention_mask) if appended else batch.attention_mask
        masks = {"eos": batch.attention_mask, "sequence": whole, "text": batch.text_mask}
        return {p.spec: p(hidden, masks["eos" if p.name == "eos" else p.over]) for p in chosen}

    def with_template(self, template: str | Template) -> Embedder:
        """The same model behind another template; weights are shared."""
        return self._variant(template=template)

    def with_pooling(self, pooling: str | Pooling) -> Embedder:
        """The same model, pooled otherwise; weights are shared."""
        return self._variant(pooling=pooling)

    def with_layer(self, layer: int) -> Embedder:
        """The same model, pooled over another hidden state; weights are shared."""
        return self._variant(layer=layer)

    def with_length(self, max_tokens: int) -> Embedder:
        """The same model for sequences of another length; weights are shared."""
        return self._variant(max_tokens=max_tokens)

    def _variant(self, **changes: Any) -> Embedder:
        kept = ("template", "pooling", "layer", "norm", "max_tokens", "normalize", "facts")
        return Embedder(
            self.backbone, self.tokenizer, **{**{name: getattr(self, name) for name in kept}, **changes}
        )

    def save(self, folder: str | Path, *, overwrite: bool = False, dtype: str = "float32") -> Path:
        """Write a folder that sentence-transformers and its kin load without lastword.

        Args:
            folder: where to; it must not exist.
            overwrite: replace it if it does.
            dtype: precision of the stored weights; an adapter is merged in float32 first.

        Raises:
            ExistingOutputError: the folder exists.
            RequestError: pooling, layer or boundary that a standard folder cannot express, or quantised weights.
            ParityError: the written folder does not give the vectors of this embedder.
        """
        return folders.write(self, Path(folder), overwrite=overwrite, dtype=dtype)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload what `save` writes to the Hub; returns the address of the commit."""
        return folders.push(self, repo_id, private=private, token=token)

    def compile(self, appends_eos: bool) -> CompiledTemplate:
        """The template as ids; an end-of-text token that only `eos` pooling reads takes no room from the text."""
        if not appends_eos or self.template.eos:
            return self.template.compile(self.tokenizer, self.max_tokens)
        if self.max_tokens == self.backbone.positions:
            raise RequestError(
                f"eos pooling takes one position more than max_tokens={self.max_tokens}, all that {self.name} has: "
                f"use max_tokens={self.max_tokens - 1}"
            )
        with_eos = dataclasses.replace(self.template, eos=True)
        return with_eos.compile(self.tokenizer, self.max_tokens + 1)


def _reads_last(pooling: Pooling, appended: bool) -> bool:
    """Whether a pooling reads nothing but the last token of each row, an appended one included."""
    return pooling.name == "eos" or (pooling.spec == "lasttoken" and not appended)


def _without_last(mask: Tensor) -> Tensor:
    """Clear the last True of each row of a right-padded mask."""
    return torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)


def _checked_layer(layer: int | None, layers: int) -> int | None:
    if layer is None or layer == layers:
        return None
    if not 0 <= layer < layers:
        raise RequestError(f"layer={layer}: this model has hidden states 0 … {layers}")
    return layer


def _checked_dim(truncate_dim: int | None, dim: int) -> int:
    if truncate_dim is not None and not 1 <= truncate_dim <= dim:
        raise RequestError(f"truncate_dim={truncate_dim}: vectors have {dim} dimensions; use 1 … {dim}")
    return truncate_dim or dim
