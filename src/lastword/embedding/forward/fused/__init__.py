"""The fast forward: a batch without padding, through blocks read off a Hugging Face model."""

from lastword.embedding.forward.fused.blocks import Blocks, read_blocks
from lastword.embedding.forward.fused.decoder import end_states, hidden_states
from lastword.embedding.forward.fused.layout import Layout
from lastword.embedding.forward.fused.tree import Tree

__all__ = ["Blocks", "Layout", "Tree", "end_states", "hidden_states", "read_blocks"]
