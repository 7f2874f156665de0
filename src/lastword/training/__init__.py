"""PAIRS → BETTER EMBEDDER; files in order: pairs, batches, loss, gradcache, adapter, plan, select, watch, loop, run."""

from lastword.training.run import TrainResult, train
from lastword.training.select import HeldOutPairs, LastStep, Measured, Scorer, Selection

__all__ = ["HeldOutPairs", "LastStep", "Measured", "Scorer", "Selection", "TrainResult", "train"]
