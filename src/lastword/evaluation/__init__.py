"""EMBEDDER → SCORES: how well the vectors of a model group, tell apart, compare and find texts.

encoder.py says what is scored and stored.py remembers it; inputs.py reads files, scores.py and pair_scores.py
say how they are scored, tasks.py and pair_tasks.py hand them to mteb; baselines.py holds what to beat,
models.py knows it by name, local.py puts it together for a file, suite/ for the tasks of MTEB.
"""

from lastword.evaluation.development import ClusterScorer
from lastword.evaluation.encoder import TextEncoder
from lastword.evaluation.inputs import Collection, ScoredPairs
from lastword.evaluation.local import evaluate
from lastword.evaluation.pair_scores import retrieval_score, sts_score
from lastword.evaluation.scores import (
    Score,
    classification_score,
    cluster_score,
    vectors_classification_score,
    vectors_cluster_score,
)
from lastword.evaluation.stored import StoredEncoder
from lastword.evaluation.suite import benchmark, differs
from lastword.evaluation.suite.noise import TaskScore

__all__ = [
    "ClusterScorer",
    "Collection",
    "Score",
    "ScoredPairs",
    "StoredEncoder",
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
