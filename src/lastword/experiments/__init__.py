"""WHICH CHOICE IS WORTH IT: files in data order: series, sources, trials, grid, sweep, picture, table."""

from lastword.experiments.series import Comparison
from lastword.experiments.sources import Source, read_sources
from lastword.experiments.sweep import sweep
from lastword.experiments.trials import compare_pairs, enough_steps

__all__ = [
    "Comparison", "Source", "compare_pairs", "enough_steps", "read_sources", "sweep",
]  # fmt: skip
