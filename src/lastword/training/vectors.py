"""Vectors of the texts of the pairs by another model, computed once: what a guide and a teacher know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.in_parts import encoded
from lastword.geometry import unit
from lastword.training.pairs import Pairs


@dataclass(frozen=True)
class TextVectors:
    """Texts and their vectors.

    Attributes:
        rows: text → row of the vectors.
        vectors: (n, dim) float32 of length 1.
    """

    rows: dict[str, int]
    vectors: np.ndarray

    @classmethod
    def by(cls, encoder: TextEncoder, pairs: Pairs, role: str, folder: Path) -> TextVectors:
        """Embed all texts of the pairs; TF-IDF is fitted to them.

        Args:
            encoder: the other model.
            pairs: to train on.
            role: what the model is to the training run: "guide" or "teacher".
            folder: the vectors are kept in it in parts, for a run that is resumed.
        """
        texts = texts_of(pairs)
        if isinstance(encoder, TfidfEncoder):
            encoder.fit(texts)
        vectors, _ = encoded(encoder, texts, role, folder, f"the {role}")
        return cls({text: row for row, text in enumerate(texts)}, unit(vectors))

    def cosines(self, anchors: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """(n, m) float32 of n and m texts."""
        first, second = (self.vectors[[self.rows[text] for text in side]] for side in (anchors, candidates))
        return torch.from_numpy(first @ second.T)


def texts_of(pairs: Pairs) -> list[str]:
    """The distinct texts of pairs and their hard negatives."""
    hard = (text for texts in pairs.negatives for text in texts)
    return list(dict.fromkeys((*pairs.anchors, *pairs.positives, *hard)))
