"""THE PAPER'S TABLES MEASURED AGAIN, and what the defects of its code cost.

Files in data order: tables (what arXiv:2507.22729 prints and claims), scales (models and settings), run (the request),
folder (of a report, unfinished and finished), pairs (what is trained on), suites (what is scored), cells (a score for
each row and column), claims (verdicts), report (pages of score tables), pages (Tables 7 and 8, Figure 1), defects,
measure. As the paper's code does it: switches, as_published, left_assumed.
"""
