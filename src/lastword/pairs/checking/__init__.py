"""PAIRS → ISSUES; files in data order: rules, near_duplicates, similarity, check, report."""

from lastword.pairs.checking.check import PairCheck, PairIssue, check_pairs, write_fixed
from lastword.pairs.checking.report import issues_table, write_report
from lastword.pairs.checking.similarity import Similarity

__all__ = [
    "PairCheck", "PairIssue", "Similarity", "check_pairs", "issues_table", "write_fixed", "write_report",
]  # fmt: skip
