"""What a series of training runs gave: the scores of each run, and which variants differ by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from lastword.uncertainty import Difference, Score, Summary, combine, compare, summarize


@dataclass(frozen=True)
class TrainingRun:
    """One training run and the scores of its model.

    Attributes:
        name: of the variant: a source of pairs, a combination of settings …
        seed: of the run.
        step: the checkpoint that was scored; None where the loss diverged.
        scores: development set → V-measure; empty where the loss diverged.
        facts: what else is known of the run, as plain values.
    """

    name: str
    seed: int
    step: int | None
    scores: Mapping[str, Score]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        scores = {name: score.to_dict() for name, score in self.scores.items()}
        return {"name": self.name, "seed": self.seed, "step": self.step, "scores": scores, **self.facts}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainingRun:
        """Read what `to_dict` wrote."""
        known = ("name", "seed", "step", "scores")
        facts = {name: value for name, value in content.items() if name not in known}
        return cls(content["name"], content["seed"], content["step"], read_scores(content["scores"]), facts)


@dataclass(frozen=True)
class Comparison:
    """The runs of a series, by variant.

    Attributes:
        runs: one for each variant and seed.
        base: development set → V-measure of the model before training.
        settings: of all runs.
        subject: what the variants are: "source", "settings" …
    """

    runs: Sequence[TrainingRun]
    base: Mapping[str, Score]
    settings: Mapping[str, Any]
    subject: str

    @property
    def names(self) -> list[str]:
        """Variants in the order in which they were trained."""
        return list(dict.fromkeys(run.name for run in self.runs))

    @cached_property
    def ranked(self) -> list[str]:
        """Variants by their mean over sets and seeds, the best first; those without any score last."""
        values = {name: summary.value for name in self.names if (summary := self.summary(name))}
        return sorted(self.names, key=lambda name: -values.get(name, float("-inf")))

    def runs_of(self, name: str) -> list[TrainingRun]:
        """The runs of a variant, one for each seed."""
        return [run for run in self.runs if run.name == name]

    def scores(self, name: str) -> dict[int, Score]:
        """Seed → mean over the sets, of the runs that did not diverge."""
        return {run.seed: combine(list(run.scores.values())) for run in self.runs_of(name) if run.scores}

    def summary(self, name: str) -> Summary | None:
        """Mean over sets and seeds with its standard errors; None without any score."""
        scores = list(self.scores(name).values())
        return summarize(scores) if scores else None

    def difference(self, name: str, other: str) -> Difference | None:
        """A variant minus another, paired by seed; None without two seeds that both have scores for."""
        first, second = self.scores(name), self.scores(other)
        seeds = [seed for seed in first if seed in second]
        if len(seeds) < 2:
            return None
        return compare([first[seed] for seed in seeds], [second[seed] for seed in seeds])

    def standing(self, name: str) -> str:
        """How a variant compares with the best one, in words."""
        runs, best = self.runs_of(name), self.ranked[0]
        diverged = sum(not run.scores for run in runs)
        if diverged:
            return f"diverged with {diverged} of {len(runs)} seeds"
        if len(runs) < 2:
            return "one run: spread over seeds unknown"
        if name == best:
            return "best"
        difference = self.difference(name, best)
        if difference is None:
            return "too few seeds in common with the best"
        return "worse" if difference.verdict == "worse" else "not distinguishable from the best"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; with the scores of every set, seed, draw and resample."""
        return {
            "subject": self.subject,
            "settings": dict(self.settings),
            "base": {name: score.to_dict() for name, score in self.base.items()},
            "runs": [run.to_dict() for run in self.runs],
            "ranking": [self._row(name) for name in self.ranked],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Comparison:
        """Read what `to_dict` wrote."""
        runs = [TrainingRun.from_dict(row) for row in content["runs"]]
        return cls(runs, read_scores(content["base"]), content["settings"], content["subject"])

    def _row(self, name: str) -> dict[str, Any]:
        summary, difference = self.summary(name), self.difference(name, self.ranked[0])
        return {
            "name": name,
            "mean": asdict(summary) if summary else None,
            "difference_to_best": difference.to_dict() if difference else None,
            "standing": self.standing(name),
        }


def read_scores(content: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    """Set → score, from plain values."""
    return {name: Score.from_dict(row) for name, row in content.items()}
