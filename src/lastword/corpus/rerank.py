"""TEXTS THAT A SEARCH FOUND → a better order, by the same kind of model that embeds: does this answer the query?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lastword.embedding import Embedder, Template
from lastword.embedding.vocabulary import Vocabulary
from lastword.errors import RequestError

PREFIX = "Query: {query}\nText: "
SUFFIX = "\nDoes the text answer the query? Answer yes or no:"
WORDS = ((" yes", " no"), ("yes", "no"))
"""The answers as tokenizers may have them; the first two whose first tokens differ are compared."""


class Reranker:
    """Reads query and text together, and compares the next words "yes" and "no".

    The score is the probability of "yes" where only these two are possible,
    1 / (1 + exp(logit(no) - logit(yes))). Unlike a cosine it reads both texts together, and costs a pass of the model
    for each pair of them; the query is part of the prefix, which the fused path computes once.

    Args:
        model: name or folder of a decoder as it was pretrained; instruction-tuned ones answer better.
        max_tokens: longest query and text, of which the text is cut; None is 512, or the positions of the model.
        device: None is the best available.

    Raises:
        ModelError, MissingFileError: see the message.
        RequestError: a model without an output head, or whose tokenizer has no token for both words.

    Source: relevance as the next word, Nogueira et al. 2020, arXiv:2003.06713; without training, Sun et al. 2023,
        arXiv:2304.09542.
    """

    def __init__(
        self, model: str | Path, *, max_tokens: int | None = None, device: str | None = None
    ) -> None:
        self._embedder = Embedder.from_pretrained(
            model, template=asking(""), pooling="lasttoken", norm="post", normalize=False, max_tokens=max_tokens,
            device=device,
        )  # fmt: skip
        words = Vocabulary.of(self._embedder)
        if words is None:
            raise RequestError(
                f"{model} has no output head to answer with: name a model as it was pretrained"
            )
        yes, no = answer_ids(words.tokenizer.hf, model)
        self._axis = (words.head[yes] - words.head[no]).numpy()

    def scores(self, query: str, texts: Sequence[str]) -> np.ndarray:
        """The probability that each text answers the query, (n,) float32."""
        states = self._embedder.variant(template=asking(query)).encode(list(texts))
        scores: np.ndarray = 1 / (1 + np.exp(-(states @ self._axis)))
        return scores


def answer_ids(tokenizer: Any, model: str | Path) -> tuple[int, int]:
    """The first tokens of "yes" and "no".

    Raises:
        RequestError: a tokenizer in which both begin alike.
    """
    for words in WORDS:
        yes, no = (tokenizer.encode(word, add_special_tokens=False)[0] for word in words)
        if yes != no:
            return yes, no
    raise RequestError(f"the tokenizer of {model} has no different tokens for yes and no: name another model")


def asking(query: str) -> Template:
    """The template in which a text answers a query or does not."""
    return Template("custom", PREFIX.replace("{query}", query), SUFFIX)
