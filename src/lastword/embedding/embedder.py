"""The embedder: texts in, vectors out; load it, use it, save it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lastword.arguments import (
    as_path,
    python_values,
    require_bool,
    require_iterable,
    require_list,
    require_string,
)
from lastword.bundled import check_model, model_source, require_known_weights
from lastword.console import warn
from lastword.embedding import folder as folders
from lastword.embedding.averaging import encode_texts, stream_texts
from lastword.embedding.backbone import Backbone
from lastword.embedding.card import Provenance
from lastword.embedding.gguf import parsed_once
from lastword.embedding.grid import Grid, GridAxes, encode_grid
from lastword.embedding.latent_pooling import LatentPooling
from lastword.embedding.loading import tokenizer_source, warn_of_special_tokens
from lastword.embedding.pipeline import Pipeline, no_weights
from lastword.embedding.pooling import Pooling
from lastword.embedding.spec import DOCUMENT, QUERY, Attention, EmbedderSpec, Norm, checked_layer
from lastword.embedding.template import Boundary, Template
from lastword.embedding.tokenizer import TextTokenizer, keeps_normalizer
from lastword.embedding.weights import cut_layers
from lastword.encoder import checked_dim
from lastword.errors import RequestError, unknown_name
from lastword.geometry import unit


class Embedder:
    """A decoder that embeds texts.

    >>> embedder = Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken")
    >>> embedder.encode(["a red apple", "a green pear"]).shape
    (2, 256)

    Attributes:
        pipeline: model, tokenizer and spec.
        provenance: where the model came from; stored in its folder.
    """

    def __init__(
        self,
        backbone: Backbone,
        tokenizer: TextTokenizer,
        spec: EmbedderSpec | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.pipeline = Pipeline(backbone, tokenizer, spec or EmbedderSpec())
        self.provenance = provenance or Provenance(base=backbone.name)

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
        prompts: Mapping[str, str] | None = None,
        bos: bool | None = None,
        boundary: Boundary | None = None,
        attention: Attention | None = None,
        dtype: str | None = None,
        device: str | None = None,
        revision: str | None = None,
        fused: bool = True,
        quantize: str | None = None,
    ) -> Embedder:
        """Load a base model, or a folder that lastword or sentence-transformers wrote.

        What is None is taken from the folder's `lastword.json`, or from what sentence-transformers wrote: pooling,
        special tokens, prompts, length and normalisation. A warning names what an argument replaces. A base
        model gets template "none" and mean pooling over its last layer.

        Args:
            name_or_folder: "mini" (the bundled model), "smollm2", "smollm2-adapted" (with the bundled adapter), a
                folder, a GGUF file, or a Hub name.
            template: a name in `TEMPLATES` or a string with `{text}`; see `Template.parse` for examples before the
                text, averages and echoes.
            pooling: a name in `POOLINGS`, or such as "mean:text", "mean:4layers" or "mean+lasttoken"; see
                `Pooling.parse`.
            layer: hidden state to pool, 0 … number of layers.
            norm: "post" or "pre" the model's final norm.
            max_tokens: longest sequence in tokens, template included.
            normalize: scale vectors to length 1.
            prompts: name → string that is put before a text inside the template; see `encode_query`.
            bos: begin sequences with the begin-of-text token; None does as the tokenizer does.
            boundary: see `Template`.
            attention: "bidirectional" lets every token see the whole text; see `EmbedderSpec`.
            dtype: "float32" or "bfloat16"; None is the best precision that the device supports.
            device: None is the best available.
            revision: branch, tag or commit on the Hub.
            fused: use the fast forward pass where the model's structure allows it.
            quantize: "int8" or "nf4" stores the weights of the layers in 8 or 4 bits: less memory, slower
                on a CPU, slightly different vectors (`pip install 'lastword[quantize]'`).

        Raises:
            MissingFileError, ModelError, TemplateError, RequestError: see the message. A ModelError names what a
                sentence-transformers model does that lastword cannot do.
        """
        changes = {
            "template": template, "pooling": pooling, "layer": layer, "norm": norm, "max_tokens": max_tokens,
            "normalize": normalize, "prompts": prompts, "bos": bos, "boundary": boundary,
            "attention": attention,
        }  # fmt: skip
        spec = EmbedderSpec().changed(**changes)  # refuses invalid values before the model is loaded
        require_string("revision", revision)
        require_bool("fused", fused)
        check_model(name_or_folder)
        name, source = str(name_or_folder), model_source(name_or_folder)
        require_known_weights(name)
        stored = folders.read(source, revision)
        if stored:
            stored.require_supported(name, changes)
        if spec.pooling.trainable and not (stored and stored.spec.pooling.trainable):
            raise no_weights(spec.pooling, name)
        with parsed_once(source):
            backbone = Backbone.load(
                source, dtype=dtype, device=device, revision=revision, fused=fused, quantize=quantize,
                attention=attention or (stored.spec if stored else spec).attention,
            )  # fmt: skip
            backbone.name = backbone.stock.model_name = name
            if stored and stored.spec.pooling.trainable:
                backbone.add_pooling(LatentPooling.load(source, stored.latent, revision=revision))
            return cls._over(backbone, name, source, revision, spec, stored, changes)

    def with_adapter(
        self, folder: Path, *, template: str | Template | None = None, pooling: str | Pooling | None = None
    ) -> Embedder:
        """An embedder over the same weights for the adapter in a folder, which is active in the model now.

        It embeds as the folder says, with its tokenizer. Several such embedders share one model, in which only one
        adapter is active at a time (`activate_adapter`); their identity is that of the model with all its adapters.

        Args:
            folder: as peft or lastword wrote it, perhaps with `lastword.json` and a tokenizer.
            template, pooling: as for `from_pretrained`.
        """
        changes = {"template": template, "pooling": pooling}
        stored = folders.read(folder)
        if stored:
            stored.require_supported(str(folder), changes)
        backbone = copy.copy(self.backbone)  # with its forward paths, which run whichever adapter is active
        backbone.name = str(folder)
        return self._over(
            backbone, str(folder), folder, None, EmbedderSpec().changed(**changes), stored, changes
        )

    @classmethod
    def _over(
        cls,
        backbone: Backbone,
        name: str,
        source: str | Path,
        revision: str | None,
        spec: EmbedderSpec,
        stored: folders.Stored | None,
        changes: Mapping[str, Any],
    ) -> Embedder:
        """The embedder over a loaded model, with the tokenizer and the settings of a folder."""
        origin = tokenizer_source(str(source), revision)
        # A tokenizer that was stored for embedding strips white space by itself, or does not on purpose.
        stored_with_it = stored is not None and origin[0] == str(source)
        strip = not stored_with_it and keeps_normalizer(backbone.model.config)
        tokenizer = TextTokenizer.load(*origin, strip=strip)
        if stored is None:
            warn_of_special_tokens(tokenizer, spec, name)
            return cls(backbone, tokenizer, spec, Provenance(base=name, revision=revision))
        before = stored.spec.shortened(backbone.positions)
        embedder = cls(backbone, tokenizer, before.changed(**changes), stored.provenance)
        if differences := before.differences(embedder.spec):
            warn(f"{name} stores how it embeds, but this uses {', '.join(differences)}")
        return embedder

    @property
    def backbone(self) -> Backbone:
        """The language model."""
        return self.pipeline.backbone

    @property
    def spec(self) -> EmbedderSpec:
        """Template, pooling, layer and whatever else makes a vector."""
        return self.pipeline.spec

    @property
    def name(self) -> str:
        """Name or folder of the model."""
        return self.backbone.name

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.pipeline.dim(self.spec.pooling)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths that the model was trained for besides the full one; empty where any may do."""
        return tuple((self.provenance.recipe or {}).get("widths", ()))

    @property
    def identity(self) -> str:
        """A string that changes whenever vectors may: spec, weights, configuration, precision, tokenizer."""
        return self.pipeline.identity

    def variant(self, **changes: Any) -> Embedder:
        """The same model with another spec, such as `variant(template="ccw", layer=4)`; weights are shared.

        Args:
            **changes: fields of `EmbedderSpec`, template and pooling as strings if you like.

        Raises:
            RequestError, TemplateError: an unknown field or an invalid value.
        """
        for name in changes:
            if name not in EmbedderSpec.__dataclass_fields__:
                raise RequestError(unknown_name("setting", name, EmbedderSpec.__dataclass_fields__))
        variant = self.pipeline.variant(**changes)
        return Embedder(variant.backbone, variant.tokenizer, variant.spec, self.provenance)

    def cut(self) -> Embedder:
        """Remove the layers after the pooled one from the model, for the same vectors in less time and memory.

        Embedders that share the model lose these layers too.
        """
        layers, before = self.pipeline.layer, self.backbone.attending("causal")
        if layers == before.layers:
            return self
        cut_layers(before.model, layers)
        backbone = Backbone(
            before.model, before.name, fused=before.fused is not None, quantize=before.quantize
        )
        spec = dataclasses.replace(self.spec, layer=None)
        return Embedder(backbone, self.pipeline.tokenizer, spec, self.provenance)

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embed texts; each vector depends on its own text only.

        Args:
            texts: n strings; a single string gives one vector of shape (dim,).
            prompt_name: name of a prompt in `spec.prompts` to put before each text; None is no prompt.
            batch_tokens: padded tokens in one pass of the model; bounds the memory.
            normalize: scale vectors to length 1; None does as the spec says.
            truncate_dim: keep only the first dimensions (before scaling); one of `widths`, if there are some.

        Returns:
            (n, dim) float32, in the order of the texts.

        Raises:
            RequestError: a value that is not a string, a text without a single token, or an unknown prompt.
        """
        return self._encode(texts, self._prompt(prompt_name), batch_tokens, normalize, truncate_dim)

    def encode_query(
        self,
        texts: str | Sequence[str],
        *,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embed queries: as `encode`, with the prompt "query" if there is one.

        Source: `SentenceTransformer.encode_query`, which looks for the same name.
        """
        return self._encode(texts, self.spec.prompt(QUERY), batch_tokens, normalize, truncate_dim)

    def encode_document(
        self,
        texts: str | Sequence[str],
        *,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embed documents: as `encode`, with the prompt "document", "passage" or "corpus" if there is one.

        Source: `SentenceTransformer.encode_document`, which looks for the same names.
        """
        return self._encode(texts, self.spec.prompt(DOCUMENT), batch_tokens, normalize, truncate_dim)

    def encode_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Embed any number of texts in constant memory: read, embedded and yielded window by window.

        Args:
            texts: strings, read as they are needed.
            prompt_name, batch_tokens, normalize, truncate_dim: as for `encode`.

        Yields:
            (n, dim) float32 for the next n texts, in their order.

        Raises:
            RequestError: as for `encode`; the number in the message counts all texts from 0.
        """
        require_iterable("texts", texts)
        prompt, dim = self._prompt(prompt_name), checked_dim(self, truncate_dim, self.dim)
        point = (self.pipeline.layer, self.spec.pooling.spec)
        numbered = enumerate(_prompted(text, prompt) for text in python_values(texts))
        for window in stream_texts(self.pipeline, numbered, [self.spec.pooling], [point[0]], batch_tokens):
            yield self._scaled(window[point][:, :dim], normalize)

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
        require_list("poolings", poolings, empty=False)
        parsed, layer = [Pooling.parse(pooling) for pooling in poolings], self.pipeline.layer
        vectors = encode_texts(self.pipeline, python_values(texts), parsed, [layer], batch_tokens)
        return {pooling.spec: self._scaled(vectors[layer, pooling.spec], normalize) for pooling in parsed}

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
        """Embed texts in every combination of templates, poolings and layers, sharing work between them.

        Templates with the same part before the text share its work and the text's; each part after the text
        costs only its own few tokens.

        Args:
            texts: n strings.
            templates: names in `TEMPLATES` or strings with `{text}`.
            poolings: names in `POOLINGS`; None is the embedder's own.
            layers: hidden states, 0 … number of layers; None is the embedder's own.
            batch_tokens: tokens in one pass of the model; bounds the memory.
            normalize: scale vectors to length 1; None does as the spec says.

        Returns:
            `GridPoint(template, pooling, layer)` → (n, dim) float32, the vectors that this embedder with
            that template, pooling and layer gives.

        Raises:
            RequestError, TemplateError: an unknown template, pooling or layer.
        """
        for axis, values in {"templates": templates, "poolings": poolings, "layers": layers}.items():
            if values is not None:
                require_list(axis, values, empty=False)
        axes = GridAxes(
            [Template.parse(template) for template in templates],
            [Pooling.parse(pooling) for pooling in poolings or [self.spec.pooling]],
            [checked_layer(layer, self.backbone.layers) for layer in layers or [self.pipeline.layer]],
        )
        grid = encode_grid(self.pipeline, python_values(texts), axes, batch_tokens)
        return {point: self._scaled(vectors, normalize) for point, vectors in grid.items()}

    def save(self, folder: str | Path, *, overwrite: bool = False, dtype: str = "float32") -> Path:
        """Write a folder that sentence-transformers and its kin load without lastword.

        Args:
            folder: path of the new folder.
            overwrite: replace it if it exists.
            dtype: precision of the stored weights; an adapter is merged in float32 first. A model that was loaded in
                bfloat16 has rounded weights: load it with dtype="float32" to store those of its file.

        Raises:
            ExistingOutputError: the folder exists.
            RequestError: pooling, layer or boundary that a standard folder cannot express, or quantised weights.
            ParityError: the written folder does not give the vectors of this embedder.
        """
        return folders.write(
            self.pipeline,
            self.provenance,
            as_path("folder", folder),
            self.encode,
            overwrite=overwrite,
            dtype=dtype,
        )

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload what `save` writes to the Hub; returns the address of the commit."""
        return folders.push(
            self.pipeline, self.provenance, repo_id, self.encode, private=private, token=token
        )

    def _encode(
        self,
        texts: str | Sequence[str],
        prompt: str,
        batch_tokens: int | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        if isinstance(texts, str):
            vector: np.ndarray = self._encode([texts], prompt, batch_tokens, normalize, truncate_dim)[0]
            return vector
        texts = python_values(texts)
        require_list("texts", texts)
        require_bool("normalize", normalize)
        dim, point = checked_dim(self, truncate_dim, self.dim), (self.pipeline.layer, self.spec.pooling.spec)
        prompted = [_prompted(text, prompt) for text in texts] if prompt else texts
        vectors = encode_texts(self.pipeline, prompted, [self.spec.pooling], [point[0]], batch_tokens)
        return self._scaled(vectors[point][:, :dim], normalize)

    def _prompt(self, name: str | None) -> str:
        if name is None:
            return ""
        if name not in self.spec.prompts:
            raise RequestError(unknown_name("prompt", name, self.spec.prompts))
        return self.spec.prompts[name]

    def _scaled(self, vectors: np.ndarray, normalize: bool | None) -> np.ndarray:
        require_bool("normalize", normalize)
        return unit(vectors) if (self.spec.normalize if normalize is None else normalize) else vectors


def _prompted(text: str, prompt: str) -> str:
    """The prompt and the text; what is not a string is left for the check of all texts."""
    return prompt + text if prompt and isinstance(text, str) else text
