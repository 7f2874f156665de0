"""AS THE PAPER'S OWN CODE DOES IT: one switch for each defect; files in order: switches, training, evaluation.

For measuring what a defect costs, and for reproducing a published figure. Nothing here is on by itself.
"""

from lastword.published.evaluation import average_score, scored_as_published
from lastword.published.switches import ALL, SWITCHES, Switch, checked_switches
from lastword.published.training import Published

__all__ = [
    "ALL",
    "SWITCHES",
    "Published",
    "Switch",
    "average_score",
    "checked_switches",
    "scored_as_published",
]
