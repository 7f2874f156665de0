"""TASKS OF MTEB → TABLE: a benchmark by name, resumable, with what is missing told and what is noise marked.

names.py says which tasks, copies.py and hub.py bring their texts, statistics.py checks these, scoring.py
scores one task, task_score.py says what a difference is worth, results.py keeps what is done, run.py puts it
together.
"""

from lastword.evaluation.benchmark.run import benchmark
from lastword.evaluation.benchmark.task_score import differs

__all__ = ["benchmark", "differs"]
