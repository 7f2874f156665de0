"""What becomes of a claim: does it hold here, is it within the noise, or is it the other way round?"""

from __future__ import annotations

from dataclasses import dataclass

from lastword.paper.cells import Value
from lastword.paper.figures import Claim, Place, Table

HOLDS, NOISE, REVERSED, UNKNOWN = "holds", "within the noise", "the other way round", "not measured"
Cells = dict[Place, Value | None]


@dataclass(frozen=True)
class Verdict:
    """A claim and what was found.

    Attributes:
        claim: of the paper.
        published: the paper's model → difference of its two cells, in points.
        difference: ours; None where a cell is missing.
        noise: standard deviation of our difference.
        word: "holds", "within the noise", "the other way round" or "not measured".
    """

    claim: Claim
    published: dict[str, float]
    difference: float | None
    noise: float
    word: str


def judge(table: Table, cells: Cells) -> list[Verdict]:
    """Every claim of a table against our cells."""
    return [_judged(table, claim, cells) for claim in table.claims]


def _judged(table: Table, claim: Claim, cells: Cells) -> Verdict:
    published = {}
    for model in table.published:
        better, worse = table.figure(model, claim.better), table.figure(model, claim.worse)
        if better is not None and worse is not None:
            published[model] = round(better - worse, 2)
    mine, other = cells.get(claim.better), cells.get(claim.worse)
    if mine is None or other is None:
        return Verdict(claim, published, None, 0.0, UNKNOWN)
    noise = (mine.band**2 + other.band**2) ** 0.5
    difference = mine.mean - other.mean
    return Verdict(claim, published, difference, noise, word(difference, noise))


def word(difference: float, noise: float) -> str:
    """A difference of less than twice its standard deviation says nothing."""
    if abs(difference) <= 2 * noise:
        return NOISE
    return HOLDS if difference > 0 else REVERSED
