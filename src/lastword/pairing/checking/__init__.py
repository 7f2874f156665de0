"""PAIRS → FINDINGS; files in data order: rules, likeness, similarity, doctor, page."""

from lastword.pairing.checking.doctor import Checkup, Finding, check_pairs, write_fixed
from lastword.pairing.checking.page import write_page
from lastword.pairing.checking.similarity import Similarity

__all__ = ["Checkup", "Finding", "Similarity", "check_pairs", "write_fixed", "write_page"]
