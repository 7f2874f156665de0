"""Losses of the vectors of one step: pure functions, by name in `LOSSES`.

A loss gets the vectors of the anchors and of their candidates, and what is known about them (`Targets`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """What a loss knows about the texts whose vectors it gets.

    Attributes:
        temperature: divisor of the cosine similarities, τ.
        excluded: (n, m) bool; True where a candidate is no negative of an anchor. None excludes nothing.
    """

    temperature: float
    excluded: Tensor | None = None


Loss = Callable[[Tensor, Tensor, Targets], Tensor]
"""Anchors (n, dim), candidates (m, dim) with the n positives first, targets → scalar."""


def info_nce(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy of finding each anchor's positive among all candidates.

    Args:
        anchors: (n, dim) vectors of any length.
        candidates: (m, dim) vectors, m ≥ n; candidate i is the positive of anchor i, the rest after the
            first n are hard negatives, shared by all anchors.
        targets: temperature and excluded candidates.

    Returns:
        Mean loss over the anchors, a float32 scalar in nats.

    Source: InfoNCE, arXiv:1807.03748, eq. 4; with in-batch negatives as in arXiv:2507.22729, eq. 1.
    """
    similarity = F.normalize(anchors.float(), dim=-1) @ F.normalize(candidates.float(), dim=-1).T
    scores = similarity / targets.temperature
    if targets.excluded is not None:
        scores = scores.masked_fill(targets.excluded.to(scores.device), float("-inf"))
    return F.cross_entropy(scores, torch.arange(len(anchors), device=scores.device))


LOSSES: dict[str, Loss] = {"info_nce": info_nce}


def false_negatives(anchors: Sequence[str], candidates: Sequence[str]) -> Tensor:
    """Find the candidates that only look like negatives: repeated texts.

    Candidate j is no negative of anchor i if it is the same text as anchor i or as its positive, or if
    it belongs to an anchor of the same text.

    Args:
        anchors: n texts.
        candidates: m ≥ n texts; the first n are the positives.

    Returns:
        (n, m) bool, never True on the diagonal.
    """
    n = len(anchors)
    number = {text: i for i, text in enumerate(dict.fromkeys((*anchors, *candidates)))}
    anchor = torch.tensor([number[text] for text in anchors])
    candidate = torch.tensor([number[text] for text in candidates])
    same = (candidate[None] == anchor[:, None]) | (candidate[None] == candidate[:n, None])
    same[:, :n] |= anchor[None] == anchor[:, None]
    same[:, :n].fill_diagonal_(False)
    return same
