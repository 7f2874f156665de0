"""Spearman's correlation of cosines and human scores, by mteb's protocol; see `clustering.py` on its own code."""

from __future__ import annotations

import numpy as np

from lastword.encoder import TextEncoder, encode_distinct
from lastword.errors import RequestError
from lastword.files.inputs import ScoredPairs
from lastword.geometry import spearman
from lastword.uncertainty import Score, resamples, sample_hash


def sts_score(encoder: TextEncoder, pairs: ScoredPairs) -> Score:
    """Spearman's correlation of cosine and human score, with mteb's value to the last digit.

    Args:
        encoder: what is scored.
        pairs: n pairs of texts with a score each.

    Returns:
        The correlation, −1 … 1; nothing in it is drawn at random.

    Raises:
        RequestError: fewer than two pairs, or all of one score.

    Source: STS Benchmark, doi:10.18653/v1/S17-2001; MTEB, arXiv:2210.07316.
    """
    if len(set(pairs.scores)) < 2:
        raise RequestError(
            f"{pairs.where}: all pairs have one score; give pairs that are more and less alike"
        )
    from sklearn.metrics.pairwise import paired_cosine_distances

    n = len(pairs.scores)
    vectors = encode_distinct(encoder, [*pairs.first, *pairs.second])
    cosines = 1 - paired_cosine_distances(vectors[:n], vectors[n:])  # as mteb computes them
    golden = np.array(pairs.scores)
    return Score(
        metric="cosine_spearman",
        value=spearman(golden, cosines),
        draws=(),
        resamples=resamples(lambda rows: [spearman(golden[rows], cosines[rows])], n),
        n=n,
        sample=sample_hash(["sts", pairs.scores]),
        chance=0.0,
    )
