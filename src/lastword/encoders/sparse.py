"""Sparse lexical vectors of a decoder: how strongly each token of its vocabulary follows the pooled state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack  # type: ignore[import-untyped]

from lastword.embedding import Embedder
from lastword.embedding.vocabulary import Vocabulary
from lastword.encoder import Wrapper
from lastword.errors import ModelError, RequestError
from lastword.geometry import unit

TERMS = 128
_WINDOW = 256  # texts whose logits of the whole vocabulary are in memory together


class SparseEncoder(Wrapper):
    """Texts → weights of tokens: w_t = ln(1 + max(0, logit_t)) of the pooled state, the largest `terms` of them.

    The output head reads the state before it is scaled to length 1. A template that asks for a word, such as eol, makes
    the logits those of words that tell what the text is about.

    Attributes:
        encoder: the decoder.
        terms: tokens with a weight, at most.
        dense: share of the cosine of dense vectors in that of the vectors returned, 0 … 1; 0 leaves them out.

    Raises:
        ModelError: the model has no output head.
        RequestError: `terms` or `dense` out of range.

    Source: PromptReps, arXiv:2404.18424, §3, with the saturation of SPLADE, arXiv:2109.10086, eq. 1; the sum of both
    cosines is its hybrid.
    """

    def __init__(self, embedder: Embedder, terms: int = TERMS, dense: float = 0.0) -> None:
        if terms < 1:
            raise RequestError(f"terms={terms}: give 1 or more")
        if not 0 <= dense <= 1:
            raise RequestError(f"dense={dense}: give a share from 0 to 1")
        vocabulary = Vocabulary.of(embedder)
        if vocabulary is None:
            raise ModelError(
                f"{embedder.name} has no output head, from which sparse vectors are made: use the base model, or a "
                "folder whose base model is at hand"
            )
        self.encoder, self.vocabulary, self.terms, self.dense = embedder, vocabulary, terms, dense

    @property
    def identity(self) -> str:
        """That of the model, with the number of terms and the share of dense vectors."""
        return f"sparse-{self.terms}-{self.dense:g}-{self.encoder.identity}"

    @property
    def name(self) -> str:
        """The model's, with the kind of vectors before it."""
        return f"{'hybrid' if self.dense else 'sparse'}:{self.encoder.name}"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """(n, tokens) float32, or (n, dim + tokens) of a hybrid; most are 0."""
        return self._vectors(self.encoder.encode(list(texts), normalize=False))

    def encode_query(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for queries."""
        return self._vectors(self.encoder.encode_query(list(texts), normalize=False))

    def encode_document(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for documents."""
        return self._vectors(self.encoder.encode_document(list(texts), normalize=False))

    def encode_sparse(self, texts: Sequence[str]) -> csr_array:
        """(n, tokens) float32 in compressed rows; column t is token t of the model."""
        return self._sparse(self.encoder.encode(list(texts), normalize=False))

    def weights(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Token → weight for each text, heaviest first, as an inverted index takes them."""
        rows = []
        for row in self.encode_sparse(texts):
            order = np.argsort(-row.data, kind="stable")
            names = self.vocabulary.tokenizer.hf.convert_ids_to_tokens(row.indices[order].tolist())
            rows.append(dict(zip(names, row.data[order].tolist(), strict=True)))
        return rows

    def _vectors(self, states: np.ndarray) -> np.ndarray:
        sparse: np.ndarray = self._sparse(states).toarray()
        if not self.dense:
            return sparse
        parts = np.sqrt(self.dense) * unit(states), np.sqrt(1 - self.dense) * unit(sparse)
        return np.hstack(parts).astype(np.float32)

    def _sparse(self, states: np.ndarray) -> csr_array:
        parts = [self._largest(states[start : start + _WINDOW]) for start in range(0, len(states), _WINDOW)]
        return vstack(parts, format="csr")

    def _largest(self, states: np.ndarray) -> csr_array:
        logits = self.vocabulary.logits(states)
        special: Any = [i for i in self.vocabulary.tokenizer.hf.all_special_ids if i < logits.shape[1]]
        logits[:, special] = 0
        terms = min(self.terms, logits.shape[1])
        columns = np.sort(np.argpartition(-logits, terms - 1, axis=1)[:, :terms], axis=1)
        weights = np.log1p(np.maximum(np.take_along_axis(logits, columns, 1), 0))
        starts = np.arange(0, weights.size + 1, terms)
        rows = csr_array((weights.ravel(), columns.ravel(), starts), shape=logits.shape)
        rows.eliminate_zeros()
        return rows
