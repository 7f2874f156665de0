"""PAIRS → BETTER EMBEDDER; files in order: pairs, batches, loss, gradcache, adapter, plan, loop, select, run."""

from lastword.training.run import TrainResult, train
from lastword.training.select import HeldOutPairs, Scorer, Selection

__all__ = ["HeldOutPairs", "Scorer", "Selection", "TrainResult", "train"]
