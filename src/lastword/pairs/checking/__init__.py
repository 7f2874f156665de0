"""PAIRS → FINDINGS; files in data order: rules, likeness, similarity, doctor, page."""

from lastword.pairs.checking.check import Checkup, Finding, check_pairs, write_fixed
from lastword.pairs.checking.page import write_page
from lastword.pairs.checking.similarity import Similarity

__all__ = ["Checkup", "Finding", "Similarity", "check_pairs", "write_fixed", "write_page"]
