"""Sparse lexical vectors of a decoder: how strongly each token of its vocabulary follows the pooled state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from lastword.embedding import Embedder
from lastword.embedding.vocabulary import Vocabulary
from lastword.encoder import Wrapper
from lastword.errors import ModelError, RequestError
from lastword.geometry import unit

TERMS = 128
_WORD = re.compile(r"\w+")
_WINDOW = 256  # texts whose logits of the whole vocabulary are in memory together


class SparseEncoder(Wrapper):
    """Texts → weights of tokens: w_t = ln(1 + max(0, logit_t - mean)) of the pooled state, the largest `terms` of them.

    The tokens are those of the words that the text has, in lower case and without stop words of English. The mean is
    that of all logits: a softmax leaves their zero open, and without it words of a small model would have no weight.
    The output head reads the state before it is scaled to length 1. A template that asks for a word, such as eol,
    makes the logits those of words that tell what the text is about.

    Attributes:
        encoder: the decoder.
        terms: tokens with a weight, at most.
        dense: share of the cosine of dense vectors in that of the vectors returned, 0 … 1; 0 leaves them out.
        expand: all tokens may have a weight, also those of words that the text does not have.

    Raises:
        ModelError: the model has no output head.
        RequestError: `terms` or `dense` out of range.

    Source: PromptReps, arXiv:2404.18424, which keeps the words of the text. Its hybrid adds the scores of two rankings,
    each scaled to 0 … 1; here cosines are added, so that a text has one vector. `expand` has the saturation of SPLADE,
    arXiv:2109.10086, but of one state that was not trained for it, instead of the largest weight over all positions.
    """

    def __init__(
        self, embedder: Embedder, terms: int = TERMS, dense: float = 0.0, expand: bool = False
    ) -> None:
        if terms < 1:
            raise RequestError(f"terms={terms}: give 1 or more")
        if not 0 <= dense <= 1:
            raise RequestError(f"dense={dense}: give a share from 0 to 1")
        if embedder.spec.pooling.also:
            raise RequestError(
                f"pooling {embedder.spec.pooling.spec!r} is wider than the states that an output head reads: sparse "
                "vectors are made with one pooling, such as lasttoken"
            )
        vocabulary = Vocabulary.of(embedder)
        if vocabulary is None:
            raise ModelError(
                f"{embedder.name} has no output head, from which sparse vectors are made: use the base model, or a "
                "folder whose base model is at hand"
            )
        self.encoder, self.vocabulary, self.terms, self.dense = embedder, vocabulary, terms, dense
        self.expand, self._ids_of = expand, dict[str, list[int]]()

    @property
    def identity(self) -> str:
        """That of the model, with the number of terms, their choice, and the share of dense vectors."""
        kind = "expanded" if self.expand else "sparse"
        return f"{kind}-{self.terms}-{self.dense:g}-{self.encoder.identity}"

    @property
    def name(self) -> str:
        """The model's, with the kind of vectors before it."""
        kind = "hybrid" if self.dense else "expanded" if self.expand else "sparse"
        return f"{kind}:{self.encoder.name}"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """(n, tokens) float32, or (n, dim + tokens) of a hybrid; most are 0."""
        return self._vectors(self.encoder.encode(list(texts), normalize=False), texts)

    def encode_query(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for queries."""
        return self._vectors(self.encoder.encode_query(list(texts), normalize=False), texts)

    def encode_document(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for documents."""
        return self._vectors(self.encoder.encode_document(list(texts), normalize=False), texts)

    def encode_sparse(self, texts: Sequence[str]) -> csr_array:
        """(n, tokens) float32 in compressed rows; column t is token t of the model."""
        return self._sparse(self.encoder.encode(list(texts), normalize=False), texts)

    def weights(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Token → weight for each text, heaviest first, as an inverted index takes them."""
        rows = []
        for row in self.encode_sparse(texts):
            order = np.argsort(-row.data, kind="stable")
            names = self.vocabulary.tokenizer.hf.convert_ids_to_tokens(row.indices[order].tolist())
            rows.append(dict(zip(names, row.data[order].tolist(), strict=True)))
        return rows

    def _vectors(self, states: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        sparse: np.ndarray = self._sparse(states, texts).toarray()
        if not self.dense:
            return sparse
        parts = np.sqrt(self.dense) * unit(states), np.sqrt(1 - self.dense) * unit(sparse)
        return np.hstack(parts).astype(np.float32)

    def _sparse(self, states: np.ndarray, texts: Sequence[str]) -> csr_array:
        windows = [slice(start, start + _WINDOW) for start in range(0, max(1, len(states)), _WINDOW)]
        return vstack([self._largest(states[rows], texts[rows]) for rows in windows], format="csr")

    def _largest(self, states: np.ndarray, texts: Sequence[str]) -> csr_array:
        logits = self.vocabulary.logits(states)
        logits -= logits.mean(1, keepdims=True)
        special: Any = [i for i in self.vocabulary.tokenizer.hf.all_special_ids if i < logits.shape[1]]
        logits[:, special] = 0
        if not self.expand:
            for row, text in zip(logits, texts, strict=True):
                other = np.ones(len(row), bool)
                other[self._tokens_of(text)] = False
                row[other] = 0
        terms = min(self.terms, logits.shape[1])
        columns = np.sort(np.argpartition(-logits, terms - 1, axis=1)[:, :terms], axis=1)
        weights = np.log1p(np.maximum(np.take_along_axis(logits, columns, 1), 0))
        starts = np.arange(0, weights.size + 1, terms)
        rows = csr_array((weights.ravel(), columns.ravel(), starts), shape=logits.shape)
        rows.eliminate_zeros()
        return rows

    def _tokens_of(self, text: str) -> list[int]:
        """Tokens of the words of a text, in lower case, with and without the space before them; no stop words."""
        words = {word for word in _WORD.findall(text.lower()) if word not in ENGLISH_STOP_WORDS}
        part_ids = self.vocabulary.tokenizer.part_ids
        for word in words - self._ids_of.keys():
            self._ids_of[word] = [*part_ids(word), *part_ids(f" {word}")]
        return [token for word in words for token in self._ids_of[word]]
