"""WHICH CHOICE IS WORTH IT: files in data order: series, sources, trials, grid, sweep, defects, picture, table."""

from lastword.comparison.defects import measure_defects
from lastword.comparison.series import Comparison
from lastword.comparison.sources import Source, read_sources
from lastword.comparison.sweep import sweep
from lastword.comparison.trials import compare_pairs, enough_steps

__all__ = [
    "Comparison", "Source", "compare_pairs", "enough_steps", "measure_defects", "read_sources", "sweep",
]  # fmt: skip
