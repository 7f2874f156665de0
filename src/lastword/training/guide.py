"""False negatives found by a guide: another model, or the model before training; its vectors are computed once.

Source: GISTEmbed, arXiv:2402.16829, §3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lastword.bundled import SELF
from lastword.config import TrainConfig
from lastword.console import info
from lastword.encoder import TextEncoder, encode_distinct
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import load_encoder
from lastword.geometry import unit
from lastword.training.pairs import Pairs


@dataclass(frozen=True)
class Guide:
    """Vectors of all texts of the pairs, by the guide.

    Attributes:
        rows: text → row of the vectors.
        vectors: (n, dim) float32 of length 1.
        margin: how much less similar than its positive a negative of an anchor must be.
    """

    rows: dict[str, int]
    vectors: np.ndarray
    margin: float = 0.0

    def excluded(self, anchors: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """Candidates that are no negatives: s(a_i, c_j) > s(a_i, p_i) - margin for the guide's cosine s.

        Args:
            anchors: n texts.
            candidates: m ≥ n texts; the first n are the positives p.

        Returns:
            (n, m) bool, never True on the diagonal.
        """
        n = len(anchors)
        first, second = (self.vectors[[self.rows[text] for text in side]] for side in (anchors, candidates))
        cosines = torch.from_numpy(first @ second.T)
        excluded = cosines > cosines.diagonal()[:, None] - self.margin
        excluded[:, :n].fill_diagonal_(False)
        return excluded


def make_guide(
    config: TrainConfig, pairs: Pairs, model: TextEncoder, device: str | None, file: Path
) -> Guide:
    """Embed the texts of the pairs by the guide of the settings; TF-IDF is fitted to them.

    Args:
        config: guide and guide_margin.
        pairs: to train on.
        model: what is about to be trained.
        device: of another guide.
        file: the vectors are kept in it, for a run that is resumed.
    """
    hard = (text for texts in pairs.negatives for text in texts)
    rows = {text: row for row, text in enumerate(dict.fromkeys((*pairs.anchors, *pairs.positives, *hard)))}
    if not file.exists():
        partial = file.with_suffix(".partial")
        with partial.open("wb") as target:
            np.save(target, _vectors(config, list(rows), model, device))
        partial.replace(file)
    return Guide(rows, np.load(file), config.guide_margin)


def _vectors(config: TrainConfig, texts: list[str], model: TextEncoder, device: str | None) -> np.ndarray:
    """(n, dim) float32 of length 1."""
    name = str(config.guide)
    encoder = (
        model if name == SELF else load_encoder(name, device=None if name == TfidfEncoder.name else device)
    )
    if isinstance(encoder, TfidfEncoder):
        encoder.fit(texts)
    info(f"{len(texts):,} texts go through the guide {name} once")
    return unit(np.asarray(encode_distinct(encoder, texts), np.float32))
