"""POINTS → POINTS IN THE PLANE: near ones stay near; directions and scale have no meaning."""

from __future__ import annotations

import numpy as np

from lastword.corpus.clustering.partition import one_thread, reduced
from lastword.extras import is_installed

WAYS = ("auto", "umap", "pca", "none")
"""How a map is made; "auto" is "umap" where its library is installed, else "pca"; "none" makes none."""
_LEAST_POINTS = 16  # of UMAP


def way_here(way: str) -> str:
    """The way that a map is made on this machine: "umap", "pca" or "none"."""
    if way != "auto":
        return way
    return "umap" if is_installed("umap") else "pca"


def plane(points: np.ndarray, way: str, seed: int) -> np.ndarray:
    """Points in the plane.

    Args:
        points: (n, dim).
        way: "umap", or "pca" for the first two principal components, as for fewer than 16 points.
        seed: the same points and seed give the same map.

    Returns:
        (n, 2) float32, -1 … 1.

    Source: UMAP: McInnes et al., arXiv:1802.03426.
    """
    flat = reduced(points, 2, seed) if way == "umap" and len(points) >= _LEAST_POINTS else _principal(points)
    low, high = flat.min(0), flat.max(0)
    scale = max(float((high - low).max()), 1e-12) / 2
    spread: np.ndarray = (flat - (low + high) / 2) / scale
    return spread.astype(np.float32)


def _principal(points: np.ndarray) -> np.ndarray:
    """The first two principal components, zeros where there are fewer."""
    centred = points.astype(np.float64) - points.mean(0, dtype=np.float64)
    with one_thread():
        values, directions = np.linalg.eigh(centred.T @ centred)
    flat: np.ndarray = centred @ directions[:, np.argsort(-values)[:2]]
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
