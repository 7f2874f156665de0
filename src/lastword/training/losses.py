"""Losses of the vectors of one step: pure functions, by name in `LOSSES`.

A loss gets the vectors of the anchors and of their candidates, and what is known about them (`Targets`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """What a loss knows about the texts whose vectors it gets.

    Attributes:
        temperature: divisor of the similarities, τ; (n,) where each anchor has its own.
        excluded: (n, m) bool; True where a candidate is no negative of an anchor. None excludes nothing.
        scores: (n,) float32, how similar each pair is, of graded pairs; only their order counts.
        taught: (n, m) float32, the cosines of a teacher; None without one.
    """

    temperature: float | Tensor
    excluded: Tensor | None = None
    scores: Tensor | None = None
    taught: Tensor | None = None


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

    Source: InfoNCE, arXiv:1807.03748; with in-batch negatives as in arXiv:2507.22729, §3.3.
    """
    return _cross_entropy(_cosines(anchors, candidates), targets.temperature, targets.excluded)


def symmetric_info_nce(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
    """Mean of InfoNCE and of InfoNCE the other way: each positive finds its anchor among all anchors.

    Hard negatives are candidates of the first direction only.

    Args:
        anchors, candidates, targets: as for `info_nce`.

    Returns:
        A float32 scalar in nats.

    Source: CLIP, arXiv:2103.00020; for texts `MultipleNegativesSymmetricRankingLoss`.
    """
    n, cosines, excluded = len(anchors), _cosines(anchors, candidates), targets.excluded
    back = None if excluded is None else excluded[:, :n].T
    forth = _cross_entropy(cosines, targets.temperature, excluded)
    return (forth + _cross_entropy(cosines[:, :n].T, targets.temperature, back)) / 2


def cosent(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
    """Pairs in the order of their scores: ln(1 + Σ exp((cos_j - cos_i) / τ)) over all i, j with score_i > score_j.

    Args:
        anchors: (n, dim) first texts of graded pairs, vectors of any length.
        candidates: (m, dim), of which the first n are the second texts; hard negatives are not used.
        targets: temperature and scores.

    Returns:
        A float32 scalar in nats; 0 where all scores are equal.

    Source: CoSENT, doi:10.1109/TASLP.2024.3402087.
    """
    return _ordered((_unit(anchors) * _unit(candidates[: len(anchors)])).sum(1), targets)


def angle(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
    """`cosent` of both the cosines and the angles in complex space, which do not saturate where cosines do; their sum.

    With vectors of length 1 whose halves are real and imaginary parts, a = x + iy and b = u + iv, the angle is
    |Re(a b*) + Im(a b*)|, summed over the dimensions: that of the quotient a / b. It has temperature 1, as in the first
    code of its authors.

    Args:
        anchors, candidates, targets: as for `cosent`; of an odd number of dimensions, one of zeros is added.

    Returns:
        A float32 scalar in nats.

    Source: AnglE, arXiv:2309.12871, without the term of in-batch negatives, since graded pairs may be alike; the angle
    as `pairwise_angle_sim` of sentence-transformers has it.
    """
    n, odd = len(anchors), anchors.shape[1] % 2
    first, second = (F.pad(_unit(side), (0, odd)) for side in (anchors, candidates[:n]))
    (x, y), (u, v) = first.chunk(2, 1), second.chunk(2, 1)
    angles = ((first * second).sum(1) + (y * u - x * v).sum(1)).abs()
    return cosent(anchors, candidates, targets) + _ordered(angles, replace(targets, temperature=1.0))


LOSSES: dict[str, Loss] = {
    "info_nce": info_nce, "symmetric_info_nce": symmetric_info_nce, "cosent": cosent, "angle": angle,
}  # fmt: skip


def distillation(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
    """How far the similarities are from a teacher's: KL(softmax(t_i / τ) ‖ softmax(s_i / τ)), mean over the anchors i.

    s_i and t_i are the cosines of anchor i and all m candidates, by the vectors and by the teacher. Excluded candidates
    count too: the teacher says itself how similar they are. Vectors of the teacher may have any width.

    Args:
        anchors, candidates: as for `info_nce`.
        targets: temperature and the teacher's cosines.

    Returns:
        A float32 scalar in nats; 0 where all similarities are the teacher's.

    Source: TCT-ColBERT, arXiv:2010.11386, with in-batch candidates; relations between texts in place of vectors as in
    RKD, arXiv:1904.05068.
    """
    assert targets.taught is not None
    cosines = _cosines(anchors, candidates)
    taught = targets.taught.to(cosines.device)
    own, teacher = (_scaled(each, targets.temperature).log_softmax(1) for each in (cosines, taught))
    return F.kl_div(own, teacher, reduction="batchmean", log_target=True)


def with_teacher(loss: Loss, share: float) -> Loss:
    """(1 - share) · loss + share · `distillation`; a share of 1 is the teacher's alone."""

    def mixed(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
        taught = share * distillation(anchors, candidates, targets)
        return taught if share == 1 else (1 - share) * loss(anchors, candidates, targets) + taught

    return mixed


def at_widths(loss: Loss, widths: Sequence[int]) -> Loss:
    """Mean of a loss of whole vectors and of the same loss of their first dimensions, for each width.

    Args:
        loss: of vectors of any width.
        widths: numbers of dimensions, at most those of the vectors; none gives the loss itself.

    Source: Matryoshka representation learning, arXiv:2205.13147, with equal weights; the mean in place of the sum, so
    that a learning rate suits any number of widths.
    """

    def nested(anchors: Tensor, candidates: Tensor, targets: Targets) -> Tensor:
        parts = [(anchors[:, :width], candidates[:, :width]) for width in {*widths, anchors.shape[1]}]
        return torch.stack([loss(*part, targets) for part in parts]).mean()

    return nested if widths else loss


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)


def _cosines(anchors: Tensor, candidates: Tensor) -> Tensor:
    """(n, m) cosines."""
    return _unit(anchors) @ _unit(candidates).T


def _cross_entropy(cosines: Tensor, temperature: float | Tensor, excluded: Tensor | None) -> Tensor:
    """Mean over the n rows of finding the column of the same number among m."""
    scores, device = _scaled(cosines, temperature), cosines.device
    if excluded is not None:
        scores = scores.masked_fill(excluded.to(device), float("-inf"))
    return F.cross_entropy(scores, torch.arange(len(scores), device=device))


def _scaled(cosines: Tensor, temperature: float | Tensor) -> Tensor:
    """(n, m) cosines divided by τ, perhaps another one for each row."""
    return cosines / (
        temperature.to(cosines.device)[:, None] if isinstance(temperature, Tensor) else temperature
    )


def _ordered(similarities: Tensor, targets: Targets) -> Tensor:
    """The loss of `cosent` for the similarities of n pairs, (n,)."""
    assert targets.scores is not None
    device, temperature = similarities.device, targets.temperature
    scaled = similarities / (temperature.to(device) if isinstance(temperature, Tensor) else temperature)
    scores = targets.scores.to(device)
    lower = (scaled[None] - scaled[:, None])[scores[:, None] > scores[None]]
    return torch.logsumexp(torch.cat([lower.new_zeros(1), lower]), 0)


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
