"""Pairs and collections of the user as mteb tasks; importing this file imports mteb, as tasks.py does."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS

from lastword.evaluation.tasks import local_metadata
from lastword.files.inputs import Collection, ScoredPairs


class LocalPairs(AbsTaskSTS):  # type: ignore[misc]
    """Pairs with a score under mteb's protocol of semantic similarity.

    Attributes:
        cosines: of the pairs, once evaluated.
    """

    metadata = local_metadata(
        "LocalPairs", "Pairs of the user with a score.", "STS", "t2t", "cosine_spearman"
    )

    def __init__(self, pairs: ScoredPairs, seed: int) -> None:
        super().__init__(seed=seed)
        # mteb scales scores between these two; a line does not change a rank.
        self.min_score, self.max_score = min(pairs.scores), max(pairs.scores)
        columns = {"sentence1": pairs.first, "sentence2": pairs.second, "score": pairs.scores}
        self.dataset = DatasetDict(test=Dataset.from_dict(columns))
        self.data_loaded = True
        self.cosines: list[float] = []

    def _calculate_scores(self, scores: Any, normalized_scores: list[float]) -> Any:
        self.cosines = [float(cosine) for cosine in scores["cosine_scores"]]
        return super()._calculate_scores(scores, normalized_scores)


class LocalRetrieval(AbsTaskRetrieval):  # type: ignore[misc]
    """A collection with queries under mteb's retrieval protocol.

    Attributes:
        ndcg_of: query → its nDCG@10, once evaluated.
    """

    metadata = local_metadata("LocalRetrieval", "A collection of the user.", "Retrieval", "t2t", "ndcg_at_10")

    def __init__(self, collection: Collection, seed: int) -> None:
        super().__init__(seed=seed)
        ids, documents = list(collection.documents), list(collection.documents.values())
        corpus = {
            "id": ids,
            "title": [title for title, _ in documents],
            "text": [text for _, text in documents],
        }
        queries = {"id": list(collection.queries), "text": list(collection.queries.values())}
        self.dataset = {
            "default": {
                "test": {
                    "corpus": Dataset.from_dict(corpus),
                    "queries": Dataset.from_dict(queries),
                    "relevant_docs": {query: dict(grades) for query, grades in collection.relevant.items()},
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True
        self.ndcg_of: dict[str, float] = {}

    def task_specific_scores(
        self, scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str
    ) -> dict[str, float]:
        """Keep what each query got; nothing is added to mteb's scores."""
        self.ndcg_of = {query: float(values["ndcg_cut_10"]) for query, values in scores.items()}
        return {}
