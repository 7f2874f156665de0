"""How pairs and collections are scored: mteb's similarity and retrieval protocols."""

from __future__ import annotations

import numpy as np

from lastword.encoder import TextEncoder
from lastword.errors import RequestError
from lastword.evaluation.scores import SEED, Score
from lastword.files.inputs import Collection, ScoredPairs

RESAMPLES = 200
"""How often pairs or queries are drawn again to tell how much their choice matters."""


def sts_score(encoder: TextEncoder, pairs: ScoredPairs, seed: int = SEED) -> Score:
    """Spearman's correlation of cosine and people's score, by mteb's protocol and mteb's own code.

    Args:
        encoder: what is scored.
        pairs: n pairs of texts with a score each.
        seed: of the resampling.

    Returns:
        The correlation, −1 … 1; as `std`, its standard deviation over 200 draws of n pairs with replacement:
        how much the choice of the pairs matters, not the protocol, which has no chance in it.

    Raises:
        RequestError: fewer than two pairs, or all of one score.

    Source: STS Benchmark, doi:10.18653/v1/S17-2001; MTEB, arXiv:2210.07316.
    """
    if len(set(pairs.scores)) < 2:
        raise RequestError(
            f"{pairs.where}: all pairs have one score; give pairs that are more and less alike"
        )
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    from lastword.evaluation import pair_tasks, tasks

    with tasks.undisturbed():
        task = pair_tasks.LocalPairs(pairs, seed)
        found = tasks.run(task, encoder)
    golden, cosines = np.array(pairs.scores), np.array(task.cosines)
    draws = np.random.default_rng(seed).integers(0, len(golden), (RESAMPLES, len(golden)))
    values = [
        spearmanr(golden[rows], cosines[rows])[0]
        for rows in draws
        if np.ptp(golden[rows]) and np.ptp(cosines[rows])
    ]
    std = float(np.std(values)) if values else 0.0
    return Score("sts", "cosine_spearman", found["main_score"], std, len(golden), RESAMPLES, seed)


def retrieval_score(encoder: TextEncoder, collection: Collection, seed: int = SEED) -> Score:
    """nDCG@10 of ranking all documents by cosine, by mteb's protocol and mteb's own code.

    Args:
        encoder: what is scored.
        collection: documents, n queries, and which documents are relevant.
        seed: of the resampling.

    Returns:
        The mean over the queries, 0 … 1; as `std`, its standard deviation over 200 draws of n queries with
        replacement.

    Source: BEIR, arXiv:2104.08663; MTEB, arXiv:2210.07316.
    """
    from lastword.evaluation import pair_tasks, tasks

    with tasks.undisturbed():
        task = pair_tasks.LocalRetrieval(collection, seed)
        found = tasks.run(task, encoder)
    gains = np.array([task.ndcg_of.get(query, 0.0) for query in collection.queries])
    draws = np.random.default_rng(seed).integers(0, len(gains), (RESAMPLES, len(gains)))
    std = float(np.std(gains[draws].mean(axis=1)))
    return Score("retrieval", "ndcg_at_10", found["main_score"], std, len(gains), RESAMPLES, seed)
