"""Vectors of tokens whose mean is nearly the vector that a model gives to the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg  # type: ignore[import-untyped]

_RARE = 1e-3  # share of all tokens at which a token has half of the weight of a rare one
_STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
_STEPS = 60


def principal_directions(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The directions that keep most of (n, d) vectors, not centred, so that cosines stay: (d, dim)."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(directions[:, ::-1][:, :dim])


def weighted(tokens: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Vectors of tokens, (vocabulary, d), shortened where a token is frequent.

    Args:
        tokens: what the model gives to each token alone.
        counts: how often each is in the texts, (vocabulary,).

    Source: smooth inverse frequency, Arora et al., "A simple but tough-to-beat baseline for sentence embeddings", ICLR
    2017, equation 4, with the frequencies of the texts themselves; applied to single tokens as in model2vec.
    """
    shares = counts / counts.sum()
    result: np.ndarray = (tokens * (_RARE / (_RARE + shares))[:, None]).astype(np.float32)
    return result


def aligned(tokens: np.ndarray, texts: Any, targets: np.ndarray) -> np.ndarray:
    """Map vectors of tokens linearly, so that their mean is as near to the vector of the text as such a map allows.

    Tokens that no text has are mapped with the others.

    Args:
        tokens: (vocabulary, d).
        texts: (n, vocabulary), see `bags`.
        targets: (n, dim), the vectors of the texts.

    Returns:
        (vocabulary, dim) float32.
    """
    means = texts @ tokens
    gram = means.T @ means
    ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    mapped: np.ndarray = (tokens @ np.linalg.solve(gram + ridge, means.T @ targets)).astype(np.float32)
    return mapped


def fitted(
    tokens: np.ndarray, texts: Any, targets: np.ndarray, score: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, float]:
    """Move the vector of each token by ridge regression, frequent tokens more than rare ones.

    Args:
        tokens: (vocabulary, dim), where they begin.
        texts: (n, vocabulary), see `bags`.
        targets: (n, dim), the vectors of the texts.
        score: how good vectors of tokens are on other texts; decides the strength of the ridge.

    Returns:
        (vocabulary, dim) float32 and the strength; infinite if no move makes the score better.
    """
    best, strength, best_score = tokens, float("inf"), score(tokens)
    rest, move = targets - texts @ tokens, np.zeros_like(tokens)
    for candidate in _STRENGTHS:
        move = _ridge(texts, rest, candidate, move)
        if (reached := score(tokens + move)) <= best_score:
            break
        best, strength, best_score = tokens + move, candidate, reached
    return best, strength


def _ridge(texts: Any, targets: np.ndarray, strength: float, start: np.ndarray) -> np.ndarray:
    """Solve (XᵀX + strength) W = XᵀY by conjugate gradients, all columns together."""
    shape, across = start.shape, texts.T.tocsr()

    def product(flat: np.ndarray) -> np.ndarray:
        move = flat.reshape(shape)
        return np.asarray(across @ (texts @ move) + strength * move).ravel()

    operator = LinearOperator((start.size, start.size), matvec=product, dtype=np.float32)
    solution, _ = cg(operator, (across @ targets).ravel(), x0=start.ravel(), rtol=1e-3, maxiter=_STEPS)
    move: np.ndarray = solution.reshape(shape).astype(np.float32)
    return move
