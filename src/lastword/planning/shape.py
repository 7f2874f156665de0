"""The shape of a model, read from its configuration; and a model of this shape with few layers, to be timed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from lastword.bundled import model_source, require_known_weights
from lastword.embedding import Embedder
from lastword.embedding import folder as folders
from lastword.embedding.backbone import Backbone
from lastword.embedding.device import torch_dtype
from lastword.embedding.gguf import parsed_once
from lastword.embedding.latent_pooling import LatentPooling
from lastword.embedding.loading import read_configuration, split_adapter, tokenizer_source
from lastword.embedding.pooling import Pooling
from lastword.embedding.spec import EmbedderSpec
from lastword.embedding.template import Template
from lastword.embedding.tokenizer import TextTokenizer, keeps_normalizer
from lastword.errors import RequestError

DEPTHS = (2, 4)
"""Layers of the models that are timed."""
_VOCABULARY = 1024
_BITS = {"int8": 8.5, "nf4": 4.5}  # with the scales of the blocks


@dataclass(frozen=True)
class Shape:
    """A model without its weights.

    Attributes:
        name: name or folder.
        config: the configuration of its decoder, of transformers.
        tokenizer: its tokenizer.
        spec: how it embeds, completed for the model.
        depth: number of its layers.
        layer_weights: parameters of a layer, on average.
        other_weights: parameters of the token embedding and the final norm.
    """

    name: str
    config: Any
    tokenizer: TextTokenizer
    spec: EmbedderSpec
    depth: int
    layer_weights: int
    other_weights: int

    @classmethod
    def read(cls, name: str | Path, **changes: Any) -> Shape:
        """Read the configuration and the tokenizer; the weights are not read.

        Args:
            name: of a model, as `Embedder.from_pretrained` takes it.
            changes: fields of `EmbedderSpec`; None takes what the folder says.

        Raises:
            ModelError, MissingFileError, RequestError, TemplateError: as `Embedder.from_pretrained`.
        """
        if (template := changes.get("template")) and Template.parse(template).averaged:
            raise RequestError(f"template={template!r} is an average: plan with each of its templates")
        source = model_source(name)
        require_known_weights(str(name))
        stored = folders.read(source)
        base, _ = split_adapter(str(source), None)
        with parsed_once(source):
            config = read_configuration(base, None).get_text_config()
            strip = stored is None and keeps_normalizer(config)
            tokenizer = TextTokenizer.load(*tokenizer_source(str(source), None), strip=strip)
        spec = (stored.spec if stored else EmbedderSpec()).changed(**changes)
        depth = config.num_hidden_layers
        total, shallow = (_weights(config, layers) for layers in (depth, 1))
        layer = round((total - shallow) / (depth - 1)) if depth > 1 else shallow
        return cls(str(name), config, tokenizer, spec, depth, layer, total - depth * layer)

    @property
    def layers(self) -> int:
        """Layers that are run: up to the pooled one."""
        return self.depth if self.spec.layer is None else min(self.spec.layer, self.depth)

    def weights_bytes(
        self, dtype: torch.dtype, quantize: str | None = None, layers: int | None = None
    ) -> float:
        """Memory of the weights; of all layers, or of so many."""
        bits = _BITS[quantize] if quantize else 8 * dtype.itemsize
        in_layers = (self.depth if layers is None else layers) * self.layer_weights * bits / 8
        return in_layers + self.other_weights * dtype.itemsize

    def forward_bytes_per_token(self, itemsize: int) -> float:
        """Memory of the states of a token inside a layer, without a graph."""
        config = self.config
        heads = config.num_attention_heads
        width = (getattr(config, "head_dim", None) or config.hidden_size // heads) * heads
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        return float(itemsize * (4 * config.hidden_size + 4 * width + 3 * inner))

    def shallow(self, layers: int, dtype: str | None = None) -> Embedder:
        """A model of the same widths with few layers and random weights, on the CPU."""
        config = copy.deepcopy(self.config)
        config.is_causal = True  # `attending` switches it
        precision = torch_dtype(dtype, torch.device("cpu"))
        model = _model(_with_layers(config, layers), dtype=precision)
        model.set_input_embeddings(
            _FewTokens(_VOCABULARY, model.get_input_embeddings().embedding_dim, dtype=precision)
        )
        spec = self.spec.changed(
            layer=None if self.spec.layer is None else layers,
            pooling=_of_few_layers(self.spec.pooling, layers),
        )
        backbone = Backbone(model, self.name)
        if spec.pooling.trainable:
            backbone.add_pooling(LatentPooling(backbone.dim))
        return Embedder(backbone, self.tokenizer, spec)


def _of_few_layers(pooling: Pooling, layers: int) -> Pooling:
    """The pooling with means of no more hidden states than a model of so many layers has."""
    also = tuple(_of_few_layers(part, layers) for part in pooling.also)
    return replace(pooling, layers=min(pooling.layers, layers + 1), also=also)


class _FewTokens(nn.Embedding):
    """Token embeddings that take any id: which token it is does not change the time."""

    def forward(self, input: Tensor) -> Tensor:
        """Embed the ids, wrapped."""
        return super().forward(input % self.num_embeddings)


def _model(config: Any, **settings: Any) -> Any:
    return AutoModel.from_config(config, **settings)  # type: ignore[no-untyped-call]


def _weights(config: Any, layers: int) -> int:
    """Parameters of a model of so many layers, without its head."""
    with torch.device("meta"):
        model = _model(_with_layers(copy.deepcopy(config), layers, config.vocab_size))
    return sum(parameter.numel() for parameter in model.parameters())


def _with_layers(config: Any, layers: int, vocabulary: int = _VOCABULARY) -> Any:
    """The configuration with other numbers of layers and tokens."""
    config.num_hidden_layers, config.vocab_size, config.pad_token_id = layers, vocabulary, None
    for name, value in vars(config).items():  # layer_types and the like have an entry for each layer
        if isinstance(value, list) and len(value) > layers and name.startswith(("layer_", "no_rope_layer")):
            setattr(config, name, value[:layers])
    return config
