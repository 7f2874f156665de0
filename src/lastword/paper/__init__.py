"""A TABLE'S NAME → OUR FIGURES BESIDE THE PAPER'S.

published.py holds what arXiv:2507.22729 prints and claims, scale.py what it is measured with here, suite.py
the texts that are scored, pairs.py what is trained on, cells.py a score for each row and column, verdict.py
what becomes of a claim, report.py the pages, run.py puts it together. switches.py lists
what the paper's code does otherwise; as_published.py does so in training, in scores (left_assumed.py) and in averages.
"""
