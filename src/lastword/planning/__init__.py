"""FORECASTS: memory, time and disk of embedding and training, before either begins.

shape.py builds few layers of a model from its configuration alone, costs.py times them and extrapolates to all;
embedding.py and training.py plan the two kinds of work, memory.py what fits, result.py what is printed.
"""

from lastword.planning.embedding import plan_embedding
from lastword.planning.memory import Memory
from lastword.planning.result import Plan
from lastword.planning.training import plan_training

__all__ = ["Memory", "Plan", "plan_embedding", "plan_training"]
