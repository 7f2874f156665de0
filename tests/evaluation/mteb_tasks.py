"""The same texts as tasks of mteb itself: what our values are compared with, digit by digit."""

from __future__ import annotations

from lastword.evaluation.benchmark.mteb_model import MtebModel, undisturbed

with undisturbed():
    import mteb
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTaskClassification, AbsTaskClustering, AbsTaskRetrieval
    from mteb.abstasks.sts import AbsTaskSTS
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits


def metadata(name, kind, category, main_score):
    return mteb.TaskMetadata(
        name=name,
        description="Local texts.",
        type=kind,
        category=category,
        dataset={"path": "local/texts", "revision": "none"},
        eval_langs=["eng-Latn"],
        main_score=main_score,
    )


class Clustering(AbsTaskClustering):
    metadata = metadata("LocalClustering", "Clustering", "t2c", "v_measure")
    max_fraction_of_documents_to_embed = None

    def __init__(self, texts, codes, seed, bootstrap_size):
        super().__init__(seed=seed)
        self.max_documents_per_cluster = bootstrap_size
        self.dataset = DatasetDict(test=Dataset.from_dict({"sentences": list(texts), "labels": list(codes)}))
        self.data_loaded = True


class Classification(AbsTaskClassification):
    metadata = metadata("LocalClassification", "Classification", "t2c", "accuracy")

    def __init__(self, train, test, seed, samples_per_label):
        super().__init__(seed=seed)
        self.samples_per_label = samples_per_label
        self.evaluator_model = LogisticRegression(max_iter=100)
        splits = {"train": train, "test": test}
        self.dataset = DatasetDict(
            {
                split: Dataset.from_dict({"text": list(texts), "label": list(codes)})
                for split, (texts, codes) in splits.items()
            }
        )
        self.data_loaded = True


class Similarity(AbsTaskSTS):
    metadata = metadata("LocalPairs", "STS", "t2t", "cosine_spearman")

    def __init__(self, pairs):
        super().__init__(seed=42)
        self.min_score, self.max_score = min(pairs.scores), max(pairs.scores)
        columns = {"sentence1": pairs.first, "sentence2": pairs.second, "score": pairs.scores}
        self.dataset = DatasetDict(test=Dataset.from_dict(columns))
        self.data_loaded = True


class Retrieval(AbsTaskRetrieval):
    metadata = metadata("LocalRetrieval", "Retrieval", "t2t", "ndcg_at_10")

    def __init__(self, collection):
        super().__init__(seed=42)
        documents = list(collection.documents.values())
        corpus = {
            "id": list(collection.documents),
            "title": [title for title, _ in documents],
            "text": [text for _, text in documents],
        }
        queries = {"id": list(collection.queries), "text": list(collection.queries.values())}
        parts = {
            "corpus": Dataset.from_dict(corpus),
            "queries": Dataset.from_dict(queries),
            "relevant_docs": {query: dict(grades) for query, grades in collection.relevant.items()},
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": parts}}
        self.data_loaded = True


def mtebs_value(task, encoder):
    """The main score by `mteb.evaluate`, on one thread as ours."""
    with undisturbed(), threadpool_limits(1):
        result = mteb.evaluate(MtebModel(encoder), task, cache=None, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]["main_score"]
