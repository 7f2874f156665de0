"""Vectors to points in the plane."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lastword.geometry import unit

_COMPONENTS = 30
_PERPLEXITY = 30.0
_MIN_ROWS = 6  # for t-SNE


def flat_map(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Map vectors to the plane so that near vectors stay near; directions and scale have no meaning.

    Rows are scaled to length 1, reduced to 30 principal components and then to two dimensions by t-SNE with
    cosine distance. Its perplexity is 30, or a third of the rows if that is less. It runs in one thread: the
    sums of several threads differ in their last digits, and so would the maps.

    Source: t-SNE, Maaten and Hinton, JMLR 9 (2008), through scikit-learn.

    Args:
        vectors: (n, dim), finite.
        seed: of t-SNE; the same vectors and seed give the same map.

    Returns:
        (n, 2) float32. For fewer than 6 rows, the first two principal components.
    """
    with threadpool_limits(limits=1):
        reduced = _principal_components(unit(vectors.astype(np.float64)))
        if len(vectors) < _MIN_ROWS or not reduced.any():
            return reduced[:, :2].astype(np.float32)
        return _tsne(reduced, seed)


def _principal_components(vectors: np.ndarray) -> np.ndarray:
    """(n, dim) → (n, 2 to 30); missing columns are zero, and so is everything if the rows are equal."""
    if len(vectors) == 1 or np.ptp(vectors, axis=0).max() < 1e-9:
        return np.zeros((len(vectors), 2))
    components = min(_COMPONENTS, *vectors.shape)
    reduced: np.ndarray = PCA(components, svd_solver="full").fit_transform(vectors)
    return np.pad(reduced, ((0, 0), (0, max(0, 2 - components))))


def _tsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    """t-SNE that starts from the first two components, which preserves some of the global order."""
    jitter = np.random.default_rng(seed).normal(size=(len(vectors), 2))
    start = (vectors[:, :2] / vectors[:, 0].std() + 0.1 * jitter) * 1e-4
    perplexity, init = min(_PERPLEXITY, (len(vectors) - 1) / 3), start.astype(np.float32)
    tsne = TSNE(perplexity=perplexity, metric="cosine", init=init, learning_rate="auto", random_state=seed)
    points: np.ndarray = tsne.fit_transform(vectors)
    return points.astype(np.float32)
