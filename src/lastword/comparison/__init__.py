"""WHICH PAIRS ARE WORTH IT: files in data order: sources, trials, picture."""

from lastword.comparison.sources import Source, read_sources
from lastword.comparison.trials import Comparison, compare_pairs

__all__ = ["Comparison", "Source", "compare_pairs", "read_sources"]
