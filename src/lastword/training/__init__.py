"""PAIRS → BETTER EMBEDDER.

Files in order: pairs, losses, objectives, gradcache, adapter, checkpoints, selection, loop, plan, run.
"""

from lastword.training.objectives import Standard, Variant
from lastword.training.run import TrainResult, train
from lastword.training.selection import HeldOutPairs, LastStep, Scorer, Selection

__all__ = ["HeldOutPairs", "LastStep", "Scorer", "Selection", "Standard", "TrainResult", "Variant", "train"]
