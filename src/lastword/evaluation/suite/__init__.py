"""TASKS OF MTEB → TABLE: a benchmark by name, resumable, with what is missing told and what is noise marked.

names.py says which tasks, copies.py and hub.py bring their texts, statistics.py checks these, scoring.py
scores one task, noise.py says what a difference is worth, results.py keeps what is done, run.py puts it
together.
"""

from lastword.evaluation.suite.noise import differs
from lastword.evaluation.suite.run import benchmark

__all__ = ["benchmark", "differs"]
