"""WHICH TEMPLATE, POOLING AND LAYER: files in data order: choices, texts, measures, labelfree, scoring, result, table,
picture, run.
"""

from lastword.probing.result import Option, ProbeFacts, ProbeResult
from lastword.probing.run import probe

__all__ = ["Option", "ProbeFacts", "ProbeResult", "probe"]
