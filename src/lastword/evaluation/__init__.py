"""EMBEDDER → SCORES: how well the vectors of a model cluster, classify, compare and retrieve texts; files in order:
scores, pair_scores, tasks, pair_tasks, development, local, benchmark.
"""

from lastword.cache.encoder import CachedEncoder
from lastword.encoder import TextEncoder
from lastword.evaluation.benchmark import benchmark, differs
from lastword.evaluation.benchmark.task_score import TaskScore
from lastword.evaluation.development import ClusterScorer
from lastword.evaluation.local import evaluate
from lastword.evaluation.pair_scores import retrieval_score, sts_score
from lastword.evaluation.scores import (
    Score,
    classification_score,
    cluster_score,
    vectors_classification_score,
    vectors_cluster_score,
)
from lastword.files.inputs import Collection, ScoredPairs

__all__ = [
    "CachedEncoder",
    "ClusterScorer",
    "Collection",
    "Score",
    "ScoredPairs",
    "TaskScore",
    "TextEncoder",
    "benchmark",
    "classification_score",
    "cluster_score",
    "differs",
    "evaluate",
    "retrieval_score",
    "sts_score",
    "vectors_classification_score",
    "vectors_cluster_score",
]
