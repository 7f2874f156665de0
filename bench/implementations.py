"""The implementations that are timed: each takes a model folder and returns a function from texts to vectors.

The function also gets the number of real tokens in the texts, which only the limit uses.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

Encode = Callable[[list[str], int], np.ndarray]


def lastword(folder: Path, dtype: str | None = None, **settings: object) -> Encode:
    from lastword import Embedder

    embedder = Embedder.from_pretrained(folder, dtype=dtype, **settings)
    return lambda texts, tokens: embedder.encode(texts)


def sentence_transformers(folder: Path, dtype: torch.dtype = torch.float32, batch_size: int = 32) -> Encode:
    from sentence_transformers import SentenceTransformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": dtype})
    return lambda texts, tokens: model.encode(texts, batch_size=batch_size, show_progress_bar=False)


def papers_loop(folder: Path, dtype: torch.dtype = torch.float32, batch_size: int = 32) -> Encode:
    """The loop of the paper's code: unsorted batches, the logits of the vocabulary computed and discarded.

    Source: arXiv:2507.22729, §3, and its published code.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()

    @torch.inference_mode()
    def encode(texts: list[str], tokens: int) -> np.ndarray:
        parts = []
        for start in range(0, len(texts), batch_size):
            batch = tokenizer(
                texts[start : start + batch_size], padding=True, truncation=True, return_tensors="pt"
            ).to(device)
            states = model(**batch, output_hidden_states=True).hidden_states[-1]
            last = batch["attention_mask"].sum(1) - 1
            parts.append(states[torch.arange(len(states)), last].float().cpu())
        return torch.nn.functional.normalize(torch.cat(parts), dim=-1).numpy()

    return encode


def matrix_products(folder: Path, dtype: torch.dtype = torch.bfloat16, chunk: int = 4096) -> Encode:
    """The limit: only the matrix products of all layers for the same number of tokens, fused as far as possible."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    dim, wide, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or dim // heads
    queries, keys = heads * head_dim, config.num_key_value_heads * head_dim
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shapes = [(dim, queries + 2 * keys), (queries, dim), (dim, 2 * wide), (wide, dim)]
    layers = [
        [torch.randn(outputs, inputs, dtype=dtype, device=device) for inputs, outputs in shapes]
        for _ in range(config.num_hidden_layers)
    ]
    inputs = [torch.randn(chunk, width, dtype=dtype, device=device) for width, _ in shapes]

    @torch.inference_mode()
    def encode(texts: list[str], tokens: int) -> np.ndarray:
        for start in range(0, tokens, chunk):
            rows = min(chunk, tokens - start)
            for weights in layers:
                for x, weight in zip(inputs, weights, strict=True):
                    product = x[:rows] @ weight.t()
        return product[:1].float().cpu().numpy()

    return encode


def grid(folder: Path, templates: int) -> Encode:
    """One pass over the texts for several templates with the same prefix."""
    from lastword import Embedder
    from suffixes import SUFFIXES

    embedder = Embedder.from_pretrained(folder)
    return lambda texts, tokens: embedder.encode_grid(texts, SUFFIXES[:templates], ["lasttoken"])


def with_compiled_steps(folder: Path) -> Encode:
    from compiled import use_compiled_steps

    use_compiled_steps()
    return lastword(folder)


LIMIT = "matrix products alone"
QUANTIZED = {"full": None, "int8": "int8", "nf4": "nf4"}
IMPLEMENTATIONS: dict[str, Callable[[Path], Encode]] = {
    "lastword": lastword,
    "lastword, float32": lambda folder: lastword(folder, "float32"),
    "lastword, stock forward": lambda folder: lastword(folder, fused=False),
    "sentence-transformers": sentence_transformers,
    "sentence-transformers, bfloat16": lambda folder: sentence_transformers(folder, torch.bfloat16),
    "sentence-transformers, bfloat16, batch 8": lambda folder: sentence_transformers(
        folder, torch.bfloat16, 8
    ),
    "sentence-transformers, bfloat16, batch 128": lambda folder: sentence_transformers(
        folder, torch.bfloat16, 128
    ),
    "the paper's loop": papers_loop,
    "the paper's loop, bfloat16": lambda folder: papers_loop(folder, torch.bfloat16),
    LIMIT: matrix_products,
}
IMPLEMENTATIONS |= {
    f"lastword, {name}": lambda folder, kind=kind: lastword(folder, quantize=kind)
    for name, kind in QUANTIZED.items()
    if kind
}
IMPLEMENTATIONS["lastword, compiled"] = with_compiled_steps
TEMPLATES = (1, 2, 5, 10, 20, 50)
GRIDS = {f"{n} templates": lambda folder, n=n: grid(folder, n) for n in TEMPLATES}
