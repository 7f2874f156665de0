"""The models that are timed: the bundled one, and larger shapes with random weights.

Speed depends on shapes, not on what the weights say. The tokenizer and its vocabulary are the bundled
model's everywhere, so that all of them read the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaModel, PreTrainedModel, Qwen3Config, Qwen3Model

from lastword import Embedder
from lastword.bundled import path_of
from lastword.embedding.backbone import Backbone
from lastword.embedding.tokenizer import TextTokenizer

TEMPLATE, POOLING, MAX_TOKENS = "ccw", "lasttoken", 512


@dataclass(frozen=True)
class Shape:
    """A model to time.

    Attributes:
        name: as it stands in tables.
        tokens: about how many real tokens one round encodes on a CPU.
    """

    name: str
    tokens: int


SHAPES = {
    "mini": Shape("bundled (8.5 M)", 30_000),
    "small": Shape("SmolLM-135M shape", 6_000),
    "qwen": Shape("Qwen3-0.6B shape", 2_000),
    "llama": Shape("Llama-3.2-1B shape", 1_000),
}


def folder_of(shape: str, parent: Path, max_tokens: int = MAX_TOKENS - 1) -> Path:
    """Write the model as a standard folder, if it is not there; both libraries load that."""
    folder = parent / (shape if max_tokens == MAX_TOKENS - 1 else f"{shape}-{max_tokens}")
    if folder.exists():
        return folder
    if shape == "mini":
        embedder = Embedder.from_pretrained(
            "mini",
            template=TEMPLATE,
            pooling=POOLING,
            max_tokens=max_tokens,
            dtype="float32",
            device="cpu",
        )
    else:
        torch.manual_seed(0)
        backbone = Backbone(_random(shape), shape)
        embedder = Embedder(backbone, TextTokenizer.load(path_of("mini"))).variant(
            template=TEMPLATE, pooling=POOLING, max_tokens=max_tokens
        )
    return embedder.save(folder)


def _random(shape: str) -> PreTrainedModel:
    vocabulary = {"vocab_size": 8192, "max_position_embeddings": 2048, "pad_token_id": 2}
    if shape == "small":
        return LlamaModel(LlamaConfig(
            **vocabulary, hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
            intermediate_size=1536,
        ))  # fmt: skip
    if shape == "qwen":
        return Qwen3Model(Qwen3Config(
            **vocabulary, hidden_size=1024, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8,
            head_dim=128, intermediate_size=3072,
        ))  # fmt: skip
    return LlamaModel(LlamaConfig(
        **vocabulary, hidden_size=2048, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        head_dim=64, intermediate_size=8192,
    ))  # fmt: skip
