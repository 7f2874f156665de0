"""Texts → vectors in parts that are kept in a folder: an interrupted run does not compute them again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword.console import progress
from lastword.encoder import TextEncoder, Wrapper, encode_distinct
from lastword.files.run_folder import hash_of

WINDOW = 512
"""Texts of a part."""


def encoded(
    encoder: TextEncoder, texts: Sequence[str], name: str, folder: Path, through: str = "the model"
) -> tuple[np.ndarray, float]:
    """Vectors of texts, (n, dim) float32, and the seconds that they took, with progress.

    Args:
        encoder: what embeds them.
        texts: n texts.
        name: of the files NAME-000000.npz.
        folder: of these files.
        through: what the texts go through, as the progress says it.
    """
    parts, seconds = [], 0.0
    with progress(f"{name} through {through}", len(texts), WINDOW) as advance:
        for start in range(0, len(texts), WINDOW):
            window, path = texts[start : start + WINDOW], folder / f"{name}-{start // WINDOW:06d}.npz"
            if not path.exists():
                began = time.perf_counter()
                vectors = np.asarray(encode_distinct(encoder, window), np.float32)
                temporary = path.with_suffix(".tmp")
                with temporary.open("wb") as file:
                    np.savez(file, vectors=vectors, seconds=time.perf_counter() - began)
                temporary.replace(path)
            with np.load(path) as part:
                parts.append(part["vectors"])
                seconds += float(part["seconds"])
            advance(len(window))
    return np.concatenate(parts), seconds


@dataclass(frozen=True)
class InParts(Wrapper):
    """An encoder whose vectors are kept in a folder in parts, for a run that is resumed.

    Attributes:
        encoder: embeds the texts.
        folder: of this encoder alone; it has a folder for each list of texts.
    """

    encoder: TextEncoder
    folder: Path

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """(n, dim) float32, in the order of the texts."""
        folder = self.folder / hash_of(list(texts))
        folder.mkdir(parents=True, exist_ok=True)
        return encoded(self.encoder, texts, "texts", folder)[0]
