"""EMBEDDER → SCORES: how well the vectors of a model group and tell apart labelled texts.

encoder.py says what is scored, scores.py how, tasks.py hands it to mteb, baselines.py holds what to beat,
local.py reads a file and puts it together.
"""

from lastword.evaluation.development import ClusterScorer
from lastword.evaluation.encoder import TextEncoder
from lastword.evaluation.local import evaluate
from lastword.evaluation.scores import Score, classification_score, cluster_score, vectors_cluster_score

__all__ = [
    "ClusterScorer",
    "Score",
    "TextEncoder",
    "classification_score",
    "cluster_score",
    "evaluate",
    "vectors_cluster_score",
]
