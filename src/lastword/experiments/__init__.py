"""WHICH CHOICE IS BETTER: files in data order: combinations, pair_sources, sweep, series, comparison, table,
picture; of strategies: catalogue, vector_changes, strategies, measuring, strategy_result, strategy_table,
strategy_page.
"""

from lastword.experiments.comparison import Comparison, TrainingRun
from lastword.experiments.pair_sources import PairSource, compare_pairs, enough_steps, read_sources
from lastword.experiments.strategies import compare_strategies
from lastword.experiments.strategy_result import StrategyComparison
from lastword.experiments.sweep import sweep

__all__ = [
    "Comparison", "PairSource", "StrategyComparison", "TrainingRun", "compare_pairs", "compare_strategies",
    "enough_steps", "read_sources", "sweep",
]  # fmt: skip
