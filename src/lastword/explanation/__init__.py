"""EMBEDDER → ATTENTION, GEOMETRY, WORDS: models side by side.

attention.py reads the last token's weights, words.py finds the tokens of content words, shares.py sums the weights by
kind of token; groups.py finds words for vectors. models.py loads the models, sample.py the texts,
explain.py computes a result.py; table.py, picture.py and page.py show it.
"""

from lastword.explanation.attention import PARTS, Part, TokenAttention, token_attention
from lastword.explanation.explain import explain
from lastword.explanation.result import Explanation

__all__ = ["PARTS", "Explanation", "Part", "TokenAttention", "explain", "token_attention"]
