"""lastword turns a pretrained decoder-only language model into a text-embedding model.

>>> import lastword
>>> embedder = lastword.Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken")
>>> vectors = embedder.encode(["a red apple", "a green pear"])

Names are imported when first used, so that `import lastword` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lastword.cache import VectorCache
    from lastword.config import TrainConfig
    from lastword.demonstration import demo
    from lastword.embedding import POOLINGS, TEMPLATES, Embedder, Pooling, Template
    from lastword.errors import LastwordError
    from lastword.evaluation import CachedEncoder, Score, TaskScore, benchmark, evaluate
    from lastword.experiments import sweep
    from lastword.explanation import explain
    from lastword.pairs import make_pairs
    from lastword.pairs.checking import check_pairs
    from lastword.paper.run import reproduce
    from lastword.probing import ProbeResult, probe
    from lastword.training import TrainResult, train

__all__ = [
    "POOLINGS",
    "TEMPLATES",
    "CachedEncoder",
    "Embedder",
    "LastwordError",
    "Pooling",
    "ProbeResult",
    "Score",
    "TaskScore",
    "Template",
    "TrainConfig",
    "TrainResult",
    "VectorCache",
    "benchmark",
    "check_pairs",
    "demo",
    "evaluate",
    "explain",
    "make_pairs",
    "probe",
    "reproduce",
    "sweep",
    "train",
]

_HOME = {
    **dict.fromkeys(("POOLINGS", "TEMPLATES", "Embedder", "Pooling", "Template"), "lastword.embedding"),
    **dict.fromkeys(("TrainResult", "train"), "lastword.training"),
    **dict.fromkeys(("Score", "CachedEncoder", "TaskScore", "benchmark", "evaluate"), "lastword.evaluation"),
    "VectorCache": "lastword.cache",
    **dict.fromkeys(("ProbeResult", "probe"), "lastword.probing"),
    "make_pairs": "lastword.pairs",
    "check_pairs": "lastword.pairs.checking",
    "demo": "lastword.demonstration",
    "explain": "lastword.explanation",
    "sweep": "lastword.experiments",
    "reproduce": "lastword.paper.run",
    "LastwordError": "lastword.errors",
    "TrainConfig": "lastword.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lastword' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
