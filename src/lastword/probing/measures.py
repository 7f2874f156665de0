"""The scores of a probe: names, titles, which need labels, and which one ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lastword.errors import RequestError, unknown_name


@dataclass(frozen=True)
class Measure:
    """How a score is called, read and written.

    Attributes:
        title: for a table.
        higher: whether more is better.
        percent: whether it is shown × 100.
        labelled: whether it needs labels.
    """

    title: str
    higher: bool = True
    percent: bool = True
    labelled: bool = False

    def shown(self, value: float, sign: str = "") -> str:
        """A value, or a difference with the sign "+"."""
        return f"{100 * value:{sign}.1f}" if self.percent else f"{value:{sign}.3g}"


MEASURES: dict[str, Measure] = {
    "v_measure": Measure("V-measure", labelled=True),
    "accuracy": Measure("accuracy", labelled=True),
    "stability": Measure("stability"),
    "agreement": Measure("agreement"),
    "tolerance": Measure("tolerance"),
    "effective_rank": Measure("rank", percent=False),
    "alignment": Measure("alignment", higher=False, percent=False),
    "uniformity": Measure("uniformity", higher=False, percent=False),
}
# Among the scores without labels, stability orders the options of the last layer most as V-measure does on
# public texts: results/probe.json, docs/reference/probe.md.
LABELLED_RANKING, LABEL_FREE_RANKING = "v_measure", "stability"


def measure_names(scores: str | Sequence[str] | None, labelled: bool, rank_by: str) -> tuple[str, ...]:
    """The scores to compute, in the order of `MEASURES`, always with the one that ranks.

    Args:
        scores: names, or names separated by commas; None is all that the texts allow.
        labelled: whether there are labels.
        rank_by: the score that ranks.

    Raises:
        RequestError: an unknown name, or one that needs labels where there are none.
    """
    if scores is None:
        return tuple(name for name, measure in MEASURES.items() if labelled or not measure.labelled)
    names = [name.strip() for name in (scores.split(",") if isinstance(scores, str) else scores)]
    for name in names:
        _require_usable(name, labelled)
    return tuple(name for name in MEASURES if name in (*names, rank_by))


def ranking(rank_by: str | None, labelled: bool) -> str:
    """The score that ranks; the default is V-measure with labels and stability without.

    Raises:
        RequestError: an unknown name, or one that needs labels where there are none.
    """
    if rank_by is None:
        return LABELLED_RANKING if labelled else LABEL_FREE_RANKING
    _require_usable(rank_by, labelled)
    return rank_by


def _require_usable(name: str, labelled: bool) -> None:
    if name not in MEASURES:
        raise RequestError(unknown_name("score", name, MEASURES))
    if MEASURES[name].labelled and not labelled:
        usable = [known for known, measure in MEASURES.items() if not measure.labelled]
        raise RequestError(f"{name} needs labels: give label_column, or choose from {', '.join(usable)}")
