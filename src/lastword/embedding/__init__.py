"""TEXT → VECTOR; files in data order: template, pooling, spec, tokenizer, tokens, device, memory, quantization,
loading, adapters, forward, weights, backbone, pipeline, encoding, grid, golden, card,
standard, folder, embedder, vocabulary.

Names are imported when first used: templates, poolings and specs are checked without loading torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder
    from lastword.embedding.grid import GridPoint
    from lastword.embedding.pooling import POOLINGS, Pooling
    from lastword.embedding.spec import EmbedderSpec
    from lastword.embedding.template import TEMPLATES, Template

__all__ = ["POOLINGS", "TEMPLATES", "Embedder", "EmbedderSpec", "GridPoint", "Pooling", "Template"]

_HOME = {
    "Embedder": "embedder",
    "EmbedderSpec": "spec",
    "GridPoint": "grid",
    **dict.fromkeys(("POOLINGS", "Pooling"), "pooling"),
    **dict.fromkeys(("TEMPLATES", "Template"), "template"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lastword.embedding' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lastword.embedding.{_HOME[name]}"), name)
