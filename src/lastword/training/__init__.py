"""PAIRS → BETTER EMBEDDER.

In order: settings, pairs, vectors, losses, guide, teacher, objectives, gradcache, targets, adapter, checkpoints,
selection, data, loop, masked, plan, lower, run.

Names are imported when first used: settings are checked without loading torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lastword.training.objectives import Standard, Variant
    from lastword.training.run import TrainResult, train
    from lastword.training.selection import HeldOutPairs, LastStep, Scorer, Selection

__all__ = ["HeldOutPairs", "LastStep", "Scorer", "Selection", "Standard", "TrainResult", "Variant", "train"]

_HOME = {
    **dict.fromkeys(("Standard", "Variant"), "objectives"),
    **dict.fromkeys(("TrainResult", "train"), "run"),
    **dict.fromkeys(("HeldOutPairs", "LastStep", "Scorer", "Selection"), "selection"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lastword.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lastword.training.{_HOME[name]}"), name)
