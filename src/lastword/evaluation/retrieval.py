"""nDCG@10 of documents ranked by cosine, by mteb's protocol; see `clustering.py` on its own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lastword.encoder import TextEncoder, encode_distinct
from lastword.files.inputs import Collection
from lastword.geometry import unit
from lastword.uncertainty import Score, resamples, sample_hash

_RANKS = 10
_QUERIES = 256  # whose cosines with all documents are in memory together
_DIGITS = 5  # to which mteb rounds


def retrieval_score(encoder: TextEncoder, collection: Collection) -> Score:
    """nDCG@10 of ranking all documents by cosine, with mteb's value to the last digit.

    Queries are embedded by `encode_query` and documents by `encode_document` where the encoder has them.

    Args:
        encoder: what is scored.
        collection: documents, n queries, and which documents are relevant.

    Returns:
        The mean over the queries, 0 … 1; nothing in it is drawn at random. Chance is that of random rankings.

    Source: BEIR, arXiv:2104.08663; MTEB, arXiv:2210.07316.
    """
    ids = list(collection.documents)
    documents = unit(encode_distinct(encoder, document_texts(collection), "document"))
    queries = unit(encode_distinct(encoder, list(collection.queries.values()), "query"))
    grades = [collection.relevant[query] for query in collection.queries]
    rankings = _rankings(queries, documents, ids)
    gains = np.array([ndcg([ids[row] for row in best], grades[i]) for i, best in enumerate(rankings)])
    return Score(
        metric="ndcg_at_10",
        value=round(float(gains.sum() / len(gains)), _DIGITS),
        draws=(),
        resamples=resamples(lambda rows: [float(gains[rows].mean())], len(gains)),
        n=len(gains),
        sample=sample_hash(["retrieval", len(ids), collection.queries, grades]),
        chance=float(np.mean([_chance(relevant, len(ids)) for relevant in grades])),
    )


def document_texts(collection: Collection) -> list[str]:
    """Title and text of each document as one text."""
    return [f"{title} {text}".strip() for title, text in collection.documents.values()]


def ndcg(ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """Discounted gain of the first ten documents over that of the best possible ranking, 0 … 1.

    Args:
        ranking: ids of documents, best first.
        grades: id → grade; other documents have none.

    Source: Järvelin and Kekäläinen 2002, doi:10.1145/582415.582418; gains and discounts as trec_eval takes them.
    """
    best = _discounted(sorted((grade for grade in grades.values() if grade > 0), reverse=True))
    return _discounted([max(grades.get(document, 0), 0) for document in ranking]) / best if best else 0.0


def _chance(grades: Mapping[str, int], documents: int) -> float:
    """Mean nDCG@10 over all rankings of so many documents."""
    relevant = [grade for grade in grades.values() if grade > 0]
    mean_gain = _discounted([1] * min(_RANKS, documents)) * sum(relevant) / documents
    return mean_gain / _discounted(sorted(relevant, reverse=True)) if relevant else 0.0


def _discounted(gains: Sequence[int]) -> float:
    return float(sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains[:_RANKS])))


def _rankings(queries: np.ndarray, documents: np.ndarray, ids: Sequence[str]) -> list[np.ndarray]:
    """Rows of the ten nearest documents of each query; of equal ones the last id comes first, as in trec_eval."""
    order = np.array(sorted(range(len(ids)), key=lambda row: ids[row], reverse=True))
    rankings = []
    for start in range(0, len(queries), _QUERIES):
        cosines = queries[start : start + _QUERIES] @ documents[order].T
        rankings += [order[np.argsort(-row, kind="stable")[:_RANKS]] for row in cosines]
    return rankings
