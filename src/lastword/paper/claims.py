"""What our scores say about a claim of the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lastword.paper.cells import Cell
from lastword.paper.tables import CellName, Claim, Table
from lastword.uncertainty import Difference, compare

HOLDS, REVERSED, OPEN, NOT_MEASURED = "holds", "reversed", "not distinguishable", "not measured"
WORDS = (HOLDS, REVERSED, OPEN, NOT_MEASURED)
ONE_SIZE = f"{NOT_MEASURED}: needs several sizes"
Cells = Mapping[CellName, Cell | None]


@dataclass(frozen=True)
class Verdict:
    """A claim and what was measured.

    Attributes:
        claim: of the paper.
        published: the paper's model → difference of its two cells, in points.
        differences: our model → difference of our two cells, 0 … 1; without models whose cells are missing.
        word: "holds", "reversed", "not distinguishable" or "not measured", perhaps with a reason.
        cells: what identifies the claim: a claim about the same cells of the same models repeats it.
        repeats: the table in which the same claim was counted, or "".
    """

    claim: Claim
    published: dict[str, float]
    differences: dict[str, Difference]
    word: str
    cells: tuple[object, ...] = ()
    repeats: str = ""


def judge(table: Table, cells: Mapping[str, Cells]) -> list[Verdict]:
    """Every claim of a table, for every one of our models or for all of them together."""
    verdicts = []
    for claim in table.claims:
        groups = [list(cells)] if claim.every_size else [[model] for model in cells]
        for models in groups:
            differences = {
                model: compare(better.scores, worse.scores)
                for model in models
                if (better := cells[model].get(claim.better)) and (worse := cells[model].get(claim.worse))
            }
            word = _word(list(differences.values()), claim.every_size)
            key = (table.metric, tuple(models), claim.better, claim.worse)
            verdicts.append(Verdict(claim, table.differences(claim), differences, word, key))
    return verdicts


def _word(differences: list[Difference], every_size: bool) -> str:
    if every_size and len(differences) < 2:
        return ONE_SIZE
    if not differences:
        return NOT_MEASURED
    found = {difference.verdict for difference in differences}
    if "worse" in found:
        return REVERSED
    return HOLDS if found == {"better"} else OPEN


def count(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Word → number of claims, without those that repeat another."""
    words = [verdict.word for verdict in verdicts if not verdict.repeats]
    return {word: sum(one.startswith(word) for one in words) for word in WORDS}
