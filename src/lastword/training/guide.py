"""False negatives found by a guide: another model, or the model before training; its vectors are computed once.

Source: GISTEmbed, arXiv:2402.16829.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lastword.bundled import SELF
from lastword.config import TrainConfig
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import load_encoder
from lastword.training.pairs import Pairs
from lastword.training.vectors import TextVectors


@dataclass(frozen=True)
class Guide:
    """What is too similar to an anchor to be its negative.

    Attributes:
        texts: vectors of all texts of the pairs, by the guide.
        margin: how much less similar than its positive a negative of an anchor must be.
    """

    texts: TextVectors
    margin: float = 0.0

    def excluded(self, anchors: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """Candidates that are no negatives: s(a_i, c_j) > s(a_i, p_i) - margin for the guide's cosine s.

        GISTEmbed compares anchors with anchors and positives with positives too, which are negatives in its loss; here
        only candidates are. A pair that `symmetric_info_nce` leaves out in one direction is left out in the other.

        Args:
            anchors: n texts.
            candidates: m ≥ n texts; the first n are the positives p.

        Returns:
            (n, m) bool, never True on the diagonal.
        """
        cosines = self.texts.cosines(anchors, candidates)
        excluded = cosines > cosines.diagonal()[:, None] - self.margin
        excluded[:, : len(anchors)].fill_diagonal_(False)
        return excluded


def make_guide(
    config: TrainConfig, pairs: Pairs, model: TextEncoder, device: str | None, folder: Path
) -> Guide | None:
    """Embed the texts of the pairs by the guide of the settings; None where they name none.

    Args:
        config: guide and guide_margin.
        pairs: to train on.
        model: what is about to be trained.
        device: of another guide.
        folder: for the vectors.
    """
    if not (name := config.guide):
        return None
    device = None if name == TfidfEncoder.name else device
    encoder = model if name == SELF else load_encoder(name, device=device)
    return Guide(TextVectors.by(encoder, pairs, "guide", folder), config.guide_margin)
