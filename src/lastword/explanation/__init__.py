"""EMBEDDER → WHAT IT LOOKED AT: the attention of the pooled token, token by token."""

from lastword.explanation.attention import PARTS, Part, TokenAttention, token_attention

__all__ = ["PARTS", "Part", "TokenAttention", "token_attention"]
