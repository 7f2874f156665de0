"""WHICH CHOICE IS BETTER: files in data order: combinations, pair_sources, sweep, series, comparison, table,
picture.
"""

from lastword.experiments.comparison import Comparison, TrainingRun
from lastword.experiments.pair_sources import PairSource, compare_pairs, enough_steps, read_sources
from lastword.experiments.sweep import sweep

__all__ = [
    "Comparison", "PairSource", "TrainingRun", "compare_pairs", "enough_steps", "read_sources", "sweep",
]  # fmt: skip
