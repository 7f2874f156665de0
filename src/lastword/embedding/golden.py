"""Golden vectors: the vectors that a folder must give anywhere, compared with the model in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lastword.errors import ParityError

GOLDEN = "golden.json"
# Short, long, of equal length, quoted, in other scripts, with emoji and unusual white space. Changing a text
# changes golden.json of every folder written from then on.
GOLDEN_TEXTS = (
    "a man is driving a car",
    "a cat is sleeping on it",
    "The quick brown fox jumps over the lazy dog.",
    "word",
    "Zebras?",
    '"Quoted", she said, and left.',
    "  outer white space is no part of a text \n",
    "Größe, naïve café, 東京, Привет, مرحبا",
    "rocket 🚀 and family 👩‍👩‍👧",
    "Prices: $1,299.00 (was 1.499,00 €) — 25 % off!",
    "line one\nline two\tand a tab",
    "A long text goes on and is cut where the model's length ends, while the template stays whole. " * 40,
)


def write_golden(folder: Path, reloaded: np.ndarray, original: np.ndarray, *, exact: bool) -> None:
    """Write the golden vectors of a folder, and require that they agree with the model it was written from.

    Args:
        folder: where `golden.json` goes.
        reloaded: (texts, dim) vectors of `GOLDEN_TEXTS` from the written folder, float32.
        original: (texts, dim) vectors of the model in memory.
        exact: the weights were stored as they were: require equal vectors up to rounding.

    Raises:
        ParityError: they disagree.
    """
    cosine = float((_unit(original) * _unit(reloaded)).sum(1).min())
    if cosine < (0.99999 if exact else 0.99):
        raise ParityError(
            f"the written folder disagrees with the model in memory: smallest cosine {cosine:.5f}"
        )
    content = {
        "about": "float32 vectors of these texts, as this folder must give them anywhere",
        "texts": list(GOLDEN_TEXTS),
        "vectors": [[float(f"{x:.8g}") for x in row] for row in reloaded],
    }
    (folder / GOLDEN).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
