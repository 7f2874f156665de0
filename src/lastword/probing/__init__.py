"""WHICH TEMPLATE, POOLING AND LAYER: files in data order: texts, choices, groups, labelfree, measures, result, table,
picture, run.
"""

from lastword.probing.result import Option, ProbeResult
from lastword.probing.run import probe

__all__ = ["Option", "ProbeResult", "probe"]
