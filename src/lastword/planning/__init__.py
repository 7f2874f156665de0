"""FORECASTS: memory, time and disk of other commands, before they begin.

shape.py builds few layers of a model from its configuration alone, costs.py times them and extrapolates to all;
embedding.py and training.py plan the two kinds of work with a model, grouping.py what is done with vectors; the other
files add these up for a command. memory.py says what fits, result.py what is printed.
"""

from lastword.planning.distillation import plan_distillation
from lastword.planning.embedding import plan_embedding
from lastword.planning.evaluation import plan_evaluation
from lastword.planning.grouping import plan_clustering
from lastword.planning.memory import Memory
from lastword.planning.result import Plan
from lastword.planning.searching import plan_search
from lastword.planning.serving import plan_serving
from lastword.planning.training import plan_training

__all__ = [
    "Memory",
    "Plan",
    "plan_clustering",
    "plan_distillation",
    "plan_embedding",
    "plan_evaluation",
    "plan_search",
    "plan_serving",
    "plan_training",
]
