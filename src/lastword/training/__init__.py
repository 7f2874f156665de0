"""PAIRS → BETTER EMBEDDER; files in order: pairs, batches, loss, gradcache, adapter, plan, loop, select, train."""

from lastword.training.select import HeldOutPairs, Scorer, Selection
from lastword.training.train import TrainResult, train

__all__ = ["HeldOutPairs", "Scorer", "Selection", "TrainResult", "train"]
