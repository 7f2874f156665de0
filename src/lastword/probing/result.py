"""The result of a probe: every option with its scores, in order, and which ones differ from the best by chance only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from lastword.probing.measures import MEASURES
from lastword.uncertainty import Difference, Score, compare

FILE = "probe.json"
"""The file of a result in the folder of a probe."""
Key = tuple[str, str, int]
"""Template, pooling and layer."""


@dataclass(frozen=True)
class Option:
    """One template, pooling and layer, and its scores.

    Attributes:
        template: name of the template, or its text for a custom one.
        pooling: as `Pooling.parse` reads it.
        layer: hidden state that is pooled; 0 is the token embedding.
        scores: name in `MEASURES` → score. The one that ranks has resamples if the option was compared with the
            best one.
    """

    template: str
    pooling: str
    layer: int
    scores: Mapping[str, Score]

    @property
    def key(self) -> Key:
        """What identifies the option."""
        return self.template, self.pooling, self.layer

    def with_resamples(self, name: str, resamples: tuple[tuple[float, ...], ...]) -> Option:
        """The option with other resamples of a score."""
        return replace(self, scores={**self.scores, name: replace(self.scores[name], resamples=resamples)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        scores = {name: score.to_dict() for name, score in self.scores.items()}
        return {"template": self.template, "pooling": self.pooling, "layer": self.layer, "scores": scores}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Option:
        """Read what `to_dict` wrote."""
        scores = {name: Score.from_dict(score) for name, score in content["scores"].items()}
        return cls(content["template"], content["pooling"], content["layer"], scores)


@dataclass(frozen=True)
class ProbeFacts:
    """What the numbers depend on.

    Attributes:
        model: name or folder.
        data: file and split, or "the list".
        texts: texts that were scored.
        available: texts before sampling.
        labels: different labels; None without labels.
        few_shot_texts: texts that accuracy is measured on; None without accuracy.
        samples_per_label: training texts of each label for accuracy; None without accuracy.
        bootstrap_size: draws in a bootstrap of the V-measure; None without it.
        seed: of the sample, the noise in the texts, and the scores without labels.
        seconds: time of embedding and scoring.
    """

    model: str
    data: str
    texts: int
    available: int
    labels: int | None
    few_shot_texts: int | None
    samples_per_label: int | None
    bootstrap_size: int | None
    seed: int
    seconds: float


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe.

    Attributes:
        options: all options, in the order of templates, poolings and layers.
        ranked_by: the score that orders them.
        facts: what the numbers depend on.
    """

    options: tuple[Option, ...]
    ranked_by: str
    facts: ProbeFacts

    @cached_property
    def ranked(self) -> list[Option]:
        """Options, the best first."""
        return ranked(self.options, self.ranked_by)

    @property
    def best(self) -> Option:
        """The first of `ranked`."""
        return self.ranked[0]

    @cached_property
    def differences(self) -> dict[Key, Difference]:
        """Of each option that was compared with the best: its ranking score minus that of the best, paired.

        Options that have no resamples were not compared; they rank below those that were.
        """
        best = self.best.scores[self.ranked_by]
        scores = {option.key: option.scores[self.ranked_by] for option in self.ranked[1:]}
        return {key: compare(score, best) for key, score in scores.items() if score.resamples}

    @property
    def indistinguishable(self) -> list[Option]:
        """The best option, and those compared with it whose difference may be chance, the best first."""
        same = {key for key, found in self.differences.items() if found.verdict == "not distinguishable"}
        return [option for option in self.ranked if option is self.best or option.key in same]

    @property
    def correlations(self) -> dict[str, float | None]:
        """Score without labels → Spearman's ρ with V-measure over the options; empty without labels.

        1 means that both order the options alike, whichever direction of the score is the better one; None
        where one of the two is constant.
        """
        return correlations(self.options) if "v_measure" in self.score_names else {}

    @property
    def score_names(self) -> list[str]:
        """Scores of all options, in the order of `MEASURES`."""
        return [name for name in MEASURES if all(name in option.scores for option in self.options)]

    def standing(self, option: Option) -> str | None:
        """ "best", "not distinguishable" or "worse"; None if the option was not compared."""
        if option is self.best:
            return "best"
        difference = self.differences.get(option.key)
        if difference is None:
            return None
        return "not distinguishable" if difference.verdict == "not distinguishable" else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; options the best first, with every draw and resample."""
        return {
            **asdict(self.facts),
            "ranked_by": self.ranked_by,
            "compared": 1 + len(self.differences),
            "correlations": self.correlations,
            "options": [self._row(option) for option in self.ranked],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ProbeResult:
        """Read what `to_dict` wrote; the options come in their rank."""
        facts = ProbeFacts(**{field.name: content[field.name] for field in fields(ProbeFacts)})
        options = tuple(Option.from_dict(option) for option in content["options"])
        return cls(options, content["ranked_by"], facts)

    def _row(self, option: Option) -> dict[str, Any]:
        difference = self.differences.get(option.key)
        return {
            **option.to_dict(),
            "difference_to_best": difference.to_dict() if difference else None,
            "standing": self.standing(option),
        }


def ranked(options: Sequence[Option], name: str) -> list[Option]:
    """Options by a score, the best first."""
    sign = -1 if MEASURES[name].higher else 1
    return sorted(options, key=lambda option: sign * option.scores[name].value)


def correlations(options: Sequence[Option]) -> dict[str, float | None]:
    """Score without labels → Spearman's ρ with V-measure over the options, 1 where it orders them alike."""
    target = np.array([option.scores["v_measure"].value for option in options])
    rho: dict[str, float | None] = {}
    for name, measure in MEASURES.items():
        if measure.labelled or not all(name in option.scores for option in options):
            continue
        values = np.array([option.scores[name].value for option in options])
        rho[name] = rank_correlation(values if measure.higher else -values, target)
    return rho


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's ρ, ties at their mean rank; None where one array is constant.

    Args:
        first: (n,).
        second: (n,).
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # takes a while

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
