"""TASKS OF MTEB → TABLE: a benchmark by name, resumable, with missing tasks listed.

names.py lists the tasks, copies.py and hub.py bring their texts, statistics.py checks these, scoring.py scores one
task through mteb_model.py and recording.py, result.py holds the scores, finished.py keeps them on disk, run.py is
the verb.
"""

from lastword.evaluation.benchmark.result import BenchmarkResult, TaskScore
from lastword.evaluation.benchmark.run import benchmark

__all__ = ["BenchmarkResult", "TaskScore", "benchmark"]
