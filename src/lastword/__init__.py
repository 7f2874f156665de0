"""lastword turns a pretrained decoder-only language model into a text-embedding model.

>>> import lastword
>>> embedder = lastword.Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken")
>>> vectors = embedder.encode(["a red apple", "a green pear"])

Names are imported when first used, so that `import lastword` costs nothing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from lastword.adaptation.adapt import adapt_corpus
    from lastword.adaptation.forecast import plan_adaptation
    from lastword.adaptation.result import AdaptResult
    from lastword.cache import CachedEncoder, VectorCache
    from lastword.config import TrainConfig
    from lastword.corpus.cluster import cluster_corpus
    from lastword.corpus.clustering.result import ClusterResult
    from lastword.corpus.embed import EmbedResult, embed_corpus
    from lastword.corpus.search import SearchResult, search
    from lastword.corpus.store import Store
    from lastword.demonstration.demo import demo
    from lastword.demonstration.result import DemoResult
    from lastword.distillation.distill import DistillResult, distill
    from lastword.embedding import POOLINGS, TEMPLATES, Embedder, EmbedderSpec, Pooling, Template
    from lastword.errors import LastwordError
    from lastword.evaluation import BenchmarkResult, Evaluation, TaskScore, benchmark, evaluate
    from lastword.experiments import Comparison, StrategyComparison, compare_pairs, compare_strategies, sweep
    from lastword.explanation.explain import explain
    from lastword.explanation.result import Explanation
    from lastword.exporting.export import ExportResult, export
    from lastword.files.sources import TableFile
    from lastword.merging import MergeResult, merge
    from lastword.pairs import PairsResult, make_pairs
    from lastword.pairs.checking import PairCheck, check_pairs
    from lastword.pairs.mining import mine_negatives
    from lastword.paper.run import reproduce
    from lastword.parity.check import check
    from lastword.parity.result import CheckResult
    from lastword.planning import (
        Plan,
        plan_clustering,
        plan_distillation,
        plan_embedding,
        plan_evaluation,
        plan_search,
        plan_serving,
        plan_training,
    )
    from lastword.probing import ProbeResult, probe
    from lastword.serving.server import serve
    from lastword.serving.settings import ServerSettings
    from lastword.sklearn import TextEmbedder
    from lastword.training import TrainResult, train
    from lastword.uncertainty import Difference, Score, compare
    from lastword.whitening import WhitenResult, whiten

__all__ = [
    "POOLINGS", "TEMPLATES", "AdaptResult", "BenchmarkResult", "CachedEncoder", "CheckResult", "ClusterResult",
    "Comparison", "DemoResult", "Difference", "DistillResult", "EmbedResult", "Embedder", "EmbedderSpec", "Evaluation",
    "Explanation", "ExportResult", "LastwordError", "MergeResult", "PairCheck", "PairsResult", "Plan", "Pooling",
    "ProbeResult", "Score", "SearchResult", "ServerSettings", "Store", "StrategyComparison", "TableFile", "TaskScore",
    "Template", "TextEmbedder", "TrainConfig", "TrainResult", "VectorCache", "WhitenResult", "__version__",
    "adapt_corpus", "benchmark", "check", "check_pairs", "cluster_corpus", "compare", "compare_pairs",
    "compare_strategies", "demo", "distill", "embed_corpus", "evaluate", "explain", "export", "make_pairs", "merge",
    "mine_negatives", "plan_adaptation", "plan_clustering", "plan_distillation", "plan_embedding",
    "plan_evaluation", "plan_search", "plan_serving", "plan_training", "probe", "reproduce", "search", "serve",
    "sweep", "train", "whiten",
]  # fmt: skip

_NAMES = {
    "adaptation.adapt": ("adapt_corpus",),
    "adaptation.forecast": ("plan_adaptation",),
    "adaptation.result": ("AdaptResult",),
    "cache": ("CachedEncoder", "VectorCache"),
    "config": ("TrainConfig",),
    "corpus.cluster": ("cluster_corpus",),
    "corpus.clustering.result": ("ClusterResult",),
    "corpus.embed": ("EmbedResult", "embed_corpus"),
    "corpus.search": ("SearchResult", "search"),
    "corpus.store": ("Store",),
    "demonstration.demo": ("demo",),
    "demonstration.result": ("DemoResult",),
    "distillation.distill": ("DistillResult", "distill"),
    "embedding": ("POOLINGS", "TEMPLATES", "Embedder", "EmbedderSpec", "Pooling", "Template"),
    "errors": ("LastwordError",),
    "evaluation": ("BenchmarkResult", "Evaluation", "TaskScore", "benchmark", "evaluate"),
    "experiments": ("Comparison", "StrategyComparison", "compare_pairs", "compare_strategies", "sweep"),
    "explanation.explain": ("explain",),
    "explanation.result": ("Explanation",),
    "exporting.export": ("ExportResult", "export"),
    "files.sources": ("TableFile",),
    "merging": ("MergeResult", "merge"),
    "pairs": ("PairsResult", "make_pairs"),
    "pairs.checking": ("PairCheck", "check_pairs"),
    "paper.run": ("reproduce",),
    "parity.check": ("check",),
    "parity.result": ("CheckResult",),
    "pairs.mining": ("mine_negatives",),
    "planning": (
        "Plan",
        "plan_clustering",
        "plan_distillation",
        "plan_embedding",
        "plan_evaluation",
        "plan_search",
        "plan_serving",
        "plan_training",
    ),
    "probing": ("ProbeResult", "probe"),
    "serving.server": ("serve",),
    "serving.settings": ("ServerSettings",),
    "sklearn": ("TextEmbedder",),
    "training": ("TrainResult", "train"),
    "uncertainty": ("Difference", "Score", "compare"),
    "whitening": ("WhitenResult", "whiten"),
}
_HOME = {name: f"lastword.{module}" for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("lastword")
    if name not in _HOME:
        raise AttributeError(f"module 'lastword' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
