"""EMBEDDER → WHAT IT LOOKED AT: attention, geometry and nearest words, of models side by side.

attention.py takes the last token's weights, words.py says which tokens carry content, shares.py adds up what the
weights fall on, bands.py how sure that is; vocabulary.py and groups.py find words for vectors. models.py loads what is
compared, sample.py the texts, explain.py puts it together into a record.py; table.py, picture.py, page.py and
output.py show it.
"""

from lastword.explanation.attention import PARTS, Part, TokenAttention, token_attention
from lastword.explanation.explain import explain
from lastword.explanation.record import Explanation

__all__ = ["PARTS", "Explanation", "Part", "TokenAttention", "explain", "token_attention"]
