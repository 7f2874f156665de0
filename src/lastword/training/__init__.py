"""PAIRS → BETTER EMBEDDER.

Files in order: pairs, losses, objectives, gradcache, adapter, plan, select, watch, loop, run.
"""

from lastword.training.objectives import Standard, Variant
from lastword.training.run import TrainResult, train
from lastword.training.select import HeldOutPairs, LastStep, Measured, Scorer, Selection

__all__ = [
    "HeldOutPairs",
    "LastStep",
    "Measured",
    "Scorer",
    "Selection",
    "Standard",
    "TrainResult",
    "Variant",
    "train",
]
