"""TEXT → VECTOR; files in data order: template, tokenizer, tokens, device, loading, backbone, pooling, embedder,
encoding, memory, grid, folder, weights, golden, card.
"""

from lastword.embedding.embedder import Embedder
from lastword.embedding.grid import GridPoint
from lastword.embedding.pooling import POOLINGS, Pooling
from lastword.embedding.template import TEMPLATES, Template

__all__ = ["POOLINGS", "TEMPLATES", "Embedder", "GridPoint", "Pooling", "Template"]
