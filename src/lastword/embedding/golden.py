"""Golden vectors: what a folder must give anywhere, and the proof that it gives it here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lastword.console import silenced
from lastword.embedding.device import DTYPES
from lastword.errors import ParityError

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder

GOLDEN = "golden.json"
# What must embed alike everywhere: short, long, of equal length, quoted, other scripts, emoji, odd white space.
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


def write_golden(embedder: Embedder, folder: Path, dtype: str) -> None:
    """Embed the golden texts with the written folder in float32, and require that it agrees with the embedder."""
    reloaded = type(embedder).from_pretrained(folder, dtype="float32", device="cpu")
    with silenced():
        golden, mine = reloaded.encode(GOLDEN_TEXTS), embedder.encode(GOLDEN_TEXTS)
    cosine = float((_unit(mine) * _unit(golden)).sum(1).min())
    exact = embedder.backbone.dtype == DTYPES[dtype] == torch.float32 and reloaded.facts == embedder.facts
    if cosine < (0.99999 if exact else 0.99):
        raise ParityError(
            f"the written folder disagrees with the model in memory: smallest cosine {cosine:.5f}"
        )
    content = {
        "about": "float32 vectors of these texts, as this folder must give them anywhere",
        "texts": list(GOLDEN_TEXTS),
        "vectors": [[float(f"{x:.8g}") for x in row] for row in golden],
    }
    (folder / GOLDEN).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
