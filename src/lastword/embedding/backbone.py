"""The frozen language model without its vocabulary head, and the forward paths that can run it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lastword.embedding.device import torch_device, torch_dtype
from lastword.embedding.forward.fused.forward import FusedForward
from lastword.embedding.forward.path import BranchingPath, ForwardPath
from lastword.embedding.forward.stock import StockForward
from lastword.embedding.latent_pooling import TRAINED_POOLING, LatentPooling
from lastword.embedding.loading import load_decoder
from lastword.embedding.pooling import Pool
from lastword.embedding.spec import Attention, Norm
from lastword.embedding.tokens import Batch
from lastword.embedding.weights import hash_tensors
from lastword.errors import ModelError

# Llama and most | GPT-2 | MPT | ChatGLM | Kimi | RWKV.
_POSITIONS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "context_length",
)  # fmt: skip
_NOT_IN_IDENTITY = ("transformers_version", "architectures", "dtype", "torch_dtype", "is_causal")


class Backbone:
    """A decoder without its head.

    Attributes:
        model: the Hugging Face module; an adapter may be placed inside it.
        name: name or folder that it was loaded from.
        layers: number of layers; hidden state 0 is the token embedding, `layers` the last.
        dim: width of the hidden states.
        positions: longest sequence that the model was made for.
        quantize: how the weights were quantised, or None.
        implementation: how transformers computes attention, as loaded: "sdpa", or "eager" for a model without it.
        stock: the model's own forward pass, which always works.
        fused: the fast path, or None if the model is not built like Llama, or its attention is bidirectional.
        attends: "causal", or "bidirectional" in what `attending` gives.
    """

    def __init__(
        self, model: PreTrainedModel, name: str, *, fused: bool = True, quantize: str | None = None
    ) -> None:
        self.model: Any = model.requires_grad_(False).train(False)
        self.name, self.quantize = name, quantize
        self.implementation: str = model.config._attn_implementation
        config = model.config.get_text_config()
        self.layers: int = config.num_hidden_layers
        self.positions: int = next((n for name in _POSITIONS if (n := getattr(config, name, None))), 512)
        # relative difference of two correct computations in float32
        self._tolerance = 5e-2 if quantize else 1e-3
        self.stock = StockForward(self.model, name, self.layers, self.positions, self._tolerance)
        self.dim: int = self.stock.dim
        self.fused: BranchingPath | None = FusedForward.of(self.stock, self._tolerance) if fused else None
        self.attends: Attention = "causal"
        self._other_paths: tuple[StockForward, BranchingPath | None] | None = None
        self._weights_hash: tuple[object, str] | None = None

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        *,
        dtype: str | None = None,
        device: str | None = None,
        revision: str | None = None,
        fused: bool = True,
        quantize: str | None = None,
        attention: Attention = "causal",
    ) -> Backbone:
        """Load a decoder from the Hub or a folder: safetensors only, no remote code.

        Args:
            name_or_folder: `Qwen/Qwen3-0.6B`, or a folder with config.json.
            dtype: "float32" or "bfloat16"; None is the best precision that the device supports.
            device: "cpu", "cuda", "cuda:1", "mps"; None is the best available.
            revision: branch, tag or commit on the Hub.
            fused: use the fast forward pass where the model's structure allows it.
            quantize: "int8" or "nf4" stores the weights of the layers in 8 or 4 bits.
            attention: "bidirectional" loads a model too whose configuration says so; `attending` switches it.

        Raises:
            MissingFileError: no such folder.
            ModelError: not a model, a damaged one, one that needs code of its own, or one whose tokens
                attend to later ones.
            RequestError: an unknown dtype or device.
        """
        name, loaded_to = str(name_or_folder), torch_device(device)
        model = load_decoder(name, loaded_to, torch_dtype(dtype, loaded_to), revision, quantize)
        config = model.config.get_text_config()
        switched = getattr(config, "is_causal", True) is False
        if switched and attention == "bidirectional":
            config.is_causal = True
        backbone = cls(model, name, fused=fused, quantize=quantize)
        if not backbone.causal:
            advice = (
                "use attention='bidirectional'" if switched else "for this model use sentence-transformers"
            )
            raise ModelError(
                f"{name} ({model.config.model_type}) lets tokens see later ones: lastword needs a decoder, "
                f"such as Qwen/Qwen3-0.6B; {advice}"
            )
        return backbone

    def attending(self, attention: Attention) -> Backbone:
        """The same model, weights included, with another attention mask; itself if it has this one.

        Raises:
            ModelError: a structure whose mask cannot be switched: one that the fused path does not read.
        """
        if attention == self.attends:
            return self
        if self._other_paths is None:
            if FusedForward.of(self.stock, self._tolerance) is None:
                raise ModelError(
                    f"attention='bidirectional': {self.name} ({self.model.config.model_type}) is not built like Llama, "
                    "and only attention in all its layers can be switched; use attention='causal'"
                )
            bidirectional = StockForward(
                self.model, self.name, self.layers, self.positions, self._tolerance, bidirectional=True
            )
            if bidirectional.guarantees.causal:
                raise ModelError(
                    "attention='bidirectional' needs transformers 5.2 or newer: pip install -U transformers"
                )
            self._other_paths = bidirectional, None
        other = copy.copy(self)
        (other.stock, other.fused), other._other_paths = self._other_paths, (self.stock, self.fused)
        other.attends = attention
        return other

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the frozen weights."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype

    @property
    def trained_pool(self) -> Pool | None:
        """The pooling with weights that was trained with the model; None for a model without one."""
        pooling = getattr(self.model, TRAINED_POOLING, None)
        return None if pooling is None else pooling.pool

    def add_pooling(self, pooling: LatentPooling) -> None:
        """Let the model have this pooling: among its modules, so that it is part of its weights and their hash."""
        self.model.add_module(TRAINED_POOLING, pooling.requires_grad_(False).to(self.device))

    def remove_pooling(self) -> None:
        """Leave out the pooling with weights, if the model has one."""
        if self.trained_pool is not None:
            delattr(self.model, TRAINED_POOLING)

    @property
    def path(self) -> str:
        """Name of the forward path that runs sequences of ordinary length."""
        return self.path_for(1).name

    @property
    def causal(self) -> bool:
        """Whether no state depends on a later token, on any path."""
        return self.stock.guarantees.causal

    def path_for(self, tokens: int) -> ForwardPath:
        """The fastest path that is right for sequences of so many tokens."""
        return self.fused if self.fused and tokens <= self.fused.guarantees.max_tokens else self.stock

    def hidden(
        self, batch: Batch, layers: Sequence[int], norm: Norm = "post"
    ) -> Iterator[tuple[int, Tensor]]:
        """Run a batch once; see `ForwardPath.hidden`."""
        return self.path_for(max(batch.lengths)).hidden(batch, layers, norm)

    def last(self, batch: Batch, norm: Norm = "post") -> Tensor:
        """States of the last layer at each row's last token, (batch, dim); cheaper than `hidden`."""
        return self.path_for(max(batch.lengths)).last(batch, norm)

    def importance(self, batch: Batch) -> Tensor:
        """How much each token attends to itself, (batch, seq); see `BranchingPath.importance`.

        Raises:
            ModelError: no path gives it for sequences of this length.
        """
        self.require_importance(max(batch.lengths))
        assert self.fused is not None  # required above
        return self.fused.importance(batch)

    def require_importance(self, tokens: int = 1) -> None:
        """Refuse a model without a path that gives attention weights.

        Raises:
            ModelError: see the message.
        """
        if self.fused is None or tokens > self.fused.guarantees.max_tokens:
            length = f" for {tokens} tokens" if tokens > 1 else ""
            raise ModelError(
                f"pooling 'mean:ditto' reads attention weights, which the {self.stock.name} path of {self.name} does "
                f"not give{length}: use a causal model built like Llama, or pooling='mean'"
            )

    @contextmanager
    def attention(self, implementation: str) -> Iterator[None]:
        """Use another attention implementation of transformers inside the `with`, such as "eager"."""
        before: str = self.model.config._attn_implementation
        self.model.set_attn_implementation(implementation)
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)

    @property
    def weights_hash(self) -> str:
        """SHA-256 of all weights, an adapter's included; computed again only after a weight was written to."""
        tensors = self.model.state_dict()
        versions = tuple((name, tensor.data_ptr(), tensor._version) for name, tensor in tensors.items())
        if self._weights_hash is None or self._weights_hash[0] != versions:
            self._weights_hash = (versions, hash_tensors(tensors))
        return self._weights_hash[1]

    @property
    def identity(self) -> str:
        """A string that changes with the weights, the precision, or any setting of the configuration."""
        config = {
            name: value
            for name, value in self.model.config.to_dict().items()
            if name not in _NOT_IN_IDENTITY and not name.startswith("_")  # name, attention implementation
        }
        settings = json.dumps([config, str(self.dtype), self.quantize], sort_keys=True, default=str)
        return f"{self.weights_hash} {hashlib.sha256(settings.encode()).hexdigest()}"
