"""What a comparison of strategies gave: scores, differences to the base, time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from lastword.experiments.catalogue import UNTRAINED, Strategy
from lastword.experiments.comparison import TrainingRun
from lastword.uncertainty import Difference, Score, Summary, combine, compare, summarize

BASE, TRAINED_BASE = "before training", "trained"
"""Names of the recipe as it is, which the strategies are compared with."""


@dataclass(frozen=True)
class StrategyRow:
    """One strategy of a comparison.

    Attributes:
        name: of the strategy, or of one of the two bases.
        group: see `catalogue.GROUPS`; "base" of a base.
        summary: mean over sets and seeds with its standard errors; None where every run diverged.
        sets: development set → mean over the seeds.
        difference: to its base, paired; None of a base, and where a run diverged or two seeds are missing.
        ms_per_text: milliseconds to embed a text, the median of the runs.
        training_seconds: of a run, the median; None without training.
        peak_memory_mb: largest resident memory of its process, in MiB, or of the GPU.
        diverged: runs whose loss diverged.
    """

    name: str
    group: str
    summary: Summary | None
    sets: Mapping[str, float]
    difference: Difference | None
    ms_per_text: float | None
    training_seconds: float | None
    peak_memory_mb: float | None
    diverged: int

    @property
    def verdict(self) -> str:
        """Better, worse or not distinguishable, by the interval of the difference."""
        if self.diverged:
            return f"diverged with {self.diverged} seeds" if self.diverged > 1 else "diverged with one seed"
        if self.group == "base":
            return "base"
        return self.difference.verdict if self.difference else "one run: spread over seeds unknown"


@dataclass(frozen=True)
class StrategyComparison:
    """Strategies on the same texts, each against the recipe as it is.

    Attributes:
        runs: one for each strategy and seed; a strategy that is not trained has one.
        strategies: name → strategy.
        settings: of the recipe, and which strategies were compared.
    """

    runs: Sequence[TrainingRun]
    strategies: Mapping[str, Strategy]
    settings: Mapping[str, Any]

    @property
    def rows(self) -> list[StrategyRow]:
        """Each base, followed by its strategies in the order of the catalogue."""
        names = [BASE, *(name for name, each in self.strategies.items() if each.group in UNTRAINED)]
        names += [TRAINED_BASE, *(name for name in self.strategies if name not in names)]
        measured = {run.name for run in self.runs}
        return [self.row(name) for name in names if name in measured]

    def scores(self, name: str) -> dict[int, Score]:
        """Seed → mean over the sets, of the runs that did not diverge."""
        return {
            run.seed: combine(list(run.scores.values()))
            for run in self.runs
            if run.name == name and run.scores
        }

    def row(self, name: str) -> StrategyRow:
        """The row of a strategy or a base."""
        runs = [run for run in self.runs if run.name == name]
        scored, scores = [run for run in runs if run.scores], list(self.scores(name).values())
        sets = scored[0].scores if scored else {}
        return StrategyRow(
            name,
            self.strategies[name].group if name in self.strategies else "base",
            summarize(scores) if scores else None,
            {key: fmean(run.scores[key].value for run in scored) for key in sets},
            self.difference(name),
            _median(scored, "ms_per_text"),
            _median(scored, "training_seconds"),
            _median(scored, "peak_memory_mb"),
            len(runs) - len(scored),
        )

    def difference(self, name: str) -> Difference | None:
        """A strategy minus its base, paired by seed; trained ones need two seeds that both have."""
        if name not in self.strategies:
            return None
        trained = self.strategies[name].trained
        first, second = self.scores(name), self.scores(TRAINED_BASE if trained else BASE)
        seeds = [seed for seed in first if seed in second]
        if len(seeds) < (2 if trained else 1):
            return None
        return compare([first[seed] for seed in seeds], [second[seed] for seed in seeds])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; with the scores of every set, seed, draw and resample."""
        return {
            "settings": dict(self.settings),
            "strategies": {name: each.to_dict() for name, each in self.strategies.items()},
            "rows": [_plain(row) for row in self.rows],
            "runs": [run.to_dict() for run in self.runs],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StrategyComparison:
        """Read what `to_dict` wrote."""
        runs = [TrainingRun.from_dict(row) for row in content["runs"]]
        strategies = {name: Strategy(name, **each) for name, each in content["strategies"].items()}
        return cls(runs, strategies, content["settings"])


def _median(runs: Sequence[TrainingRun], fact: str) -> float | None:
    values = [run.facts[fact] for run in runs if run.facts.get(fact) is not None]
    return median(values) if values else None


def _plain(row: StrategyRow) -> dict[str, Any]:
    return {
        "name": row.name, "group": row.group, "mean": row.summary.value if row.summary else None,
        "sets": dict(row.sets), "difference": row.difference.to_dict() if row.difference else None,
        "verdict": row.verdict, "ms_per_text": row.ms_per_text, "training_seconds": row.training_seconds,
        "peak_memory_mb": row.peak_memory_mb,
    }  # fmt: skip
