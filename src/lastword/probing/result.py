"""What a probe found: every option with its scores, in order, and which of them are level with the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastword.embedding import GridPoint
from lastword.probing.labelfree import rank_correlation
from lastword.probing.measures import MEASURES

LEVEL_BANDS = 2.0
"""A difference of less than so many of its own standard deviations says nothing."""


@dataclass(frozen=True)
class Option:
    """One template, pooling and layer, and how it scores.

    Attributes:
        point: which; as `Embedder.encode_grid` names it.
        scores: score → its value.
        bands: score → its standard deviation or standard error, for those that have one.
    """

    point: GridPoint
    scores: dict[str, float]
    bands: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        point = self.point
        return {"template": point.template, "pooling": point.pooling, "layer": point.layer,
                "scores": self.scores, "bands": self.bands}  # fmt: skip


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        options: every option, in the order of the grid.
        ranked_by: the score that orders them.
        facts: model, data, texts, labels, seed and whatever else the numbers depend on.
    """

    options: tuple[Option, ...]
    ranked_by: str
    facts: dict[str, Any]

    @property
    def ranked(self) -> list[Option]:
        """Options, the best first."""
        way = -1 if MEASURES[self.ranked_by].higher else 1
        return sorted(self.options, key=lambda option: way * option.scores[self.ranked_by])

    @property
    def best(self) -> Option:
        """The first of `ranked`."""
        return self.ranked[0]

    @property
    def level(self) -> list[Option]:
        """Options whose difference to the best is within the noise of that difference, the best first among them.

        That noise is √(s₁² + s₂²) for bands s₁ and s₂, and a difference of less than twice as much says
        nothing. Only the best where the ranking score has no band.
        """
        best = self.best
        return [option for option in self.ranked if option is best or self._within(best, option)]

    def _within(self, best: Option, other: Option) -> bool:
        if self.ranked_by not in best.bands or self.ranked_by not in other.bands:
            return False
        apart = abs(best.scores[self.ranked_by] - other.scores[self.ranked_by])
        noise = float(np.hypot(best.bands[self.ranked_by], other.bands[self.ranked_by]))
        return apart <= LEVEL_BANDS * noise

    @property
    def correlations(self) -> dict[str, float | None]:
        """Label-free score → Spearman's ρ with V-measure over the options; empty without labels.

        1 means that the score orders the options as V-measure does, whichever way the score itself points;
        None where one of the two is the same for all options.
        """
        if "v_measure" not in self.score_names:
            return {}
        return correlations(self.options)

    @property
    def score_names(self) -> list[str]:
        """Scores that every option has, in the order of `MEASURES`."""
        return [name for name in MEASURES if all(name in option.scores for option in self.options)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; options the best first."""
        level = {option.point for option in self.level}
        return {
            **self.facts,
            "ranked_by": self.ranked_by,
            "correlations": self.correlations,
            "options": [
                {**option.to_dict(), "level_with_best": option.point in level} for option in self.ranked
            ],
        }


def correlations(options: Sequence[Option], with_score: str = "v_measure") -> dict[str, float | None]:
    """Label-free score → Spearman's ρ with another score over the options, 1 where it orders them alike."""
    target = np.array([option.scores[with_score] for option in options])
    found: dict[str, float | None] = {}
    for name, measure in MEASURES.items():
        if measure.labelled or not all(name in option.scores for option in options):
            continue
        values = np.array([option.scores[name] for option in options])
        found[name] = rank_correlation(values if measure.higher else -values, target)
    return found
