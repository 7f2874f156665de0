"""EMBEDDER → SCORES: how well the vectors of a model cluster, classify, compare and retrieve texts.

A file for each kind of task (clustering, classification, sts, retrieval; labels.py checks their labels);
development.py is the score of a training run, local.py scores models on a file, benchmark/ on tasks of MTEB.
"""

from lastword.evaluation.benchmark import BenchmarkResult, TaskScore, benchmark
from lastword.evaluation.classification import classification_score, vectors_classification_score
from lastword.evaluation.clustering import cluster_score, vectors_cluster_score
from lastword.evaluation.development import ClusterScorer
from lastword.evaluation.local import Evaluation, LocalTask, ModelScore, evaluate, read_task
from lastword.evaluation.retrieval import retrieval_score
from lastword.evaluation.sts import sts_score

__all__ = [
    "BenchmarkResult", "ClusterScorer", "Evaluation", "LocalTask", "ModelScore", "TaskScore", "benchmark",
    "classification_score", "cluster_score", "evaluate", "read_task", "retrieval_score", "sts_score",
    "vectors_classification_score", "vectors_cluster_score",
]  # fmt: skip
