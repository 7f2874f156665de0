"""A score for each row and column: an embedder is made as the row says, trained if it says so, and scored."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lastword.config import read_recipe
from lastword.console import info
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.evaluation import ClusterScorer
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.files.run_folder import RunFolder
from lastword.paper.pairs import Sources
from lastword.paper.scale import Scale
from lastword.paper.suite import Suite, TaskScores
from lastword.training import train
from lastword.uncertainty import Score

POOLING = {"mean": "mean", "last": "lasttoken", "eos": "eos"}
EMOTION_TOKENS = 128
NOISE = ("delete", "swap", "characters")


@dataclass(frozen=True)
class Row:
    """How an embedder is made, as a row's name tells it: "CCW + wiki-translate + aug".

    Attributes:
        template: name of a template, or "emotion" for the table's own.
        source: of the pairs that it is trained on, or None.
        noise: whether the positives are damaged in training.
    """

    template: str
    source: str | None = None
    noise: bool = False

    @classmethod
    def parse(cls, name: str) -> Row:
        """Read a row's name."""
        template, *rest = name.split(" + ")
        return cls(template.lower(), rest[0] if rest else None, "aug" in rest)


@dataclass(frozen=True)
class Value:
    """A score with its band, in percent.

    Attributes:
        mean: over tasks, and over seeds of a training.
        band: one standard deviation: of the draws and starts of k-means (or of the training texts of a
            classifier), joined with the spread between trainings.
        tasks: task → score of that task alone.
        seeds: trainings, or 1 where nothing is trained.
    """

    mean: float
    band: float
    tasks: dict[str, float]
    seeds: int


@dataclass(frozen=True)
class Laboratory:
    """Makes and scores embedders, each once.

    Attributes:
        series: where finished cells lie.
        scale: models, recipe, seeds.
        sources: pairs by name.
        device: None takes the best there is.
        base_scores: development scores of models before training; see `train`.
    """

    series: RunFolder
    scale: Scale
    sources: Sources
    device: str | None = None
    base_scores: dict[str, Score] = field(default_factory=dict)

    def value(self, model: str, row: Row, column: str, suite: Suite, template: str = "") -> Value | None:
        """A cell, measured or read; None if its pairs are not there.

        Args:
            model: name or folder of the base model.
            row: how the embedder is made.
            column: "mean", "last" or "eos".
            suite: what it is scored on.
            template: what "emotion" stands for.
        """
        if row.source and not self.sources.has(row.source):
            return None
        used = template if row.template == "emotion" else row.template
        runs = [
            self._scores(model, row, used, POOLING[column], suite, seed)
            for seed in range(self.scale.seeds if row.source else 1)
        ]
        return joined(runs)

    def peer(self, name: str, suite: Suite) -> Value:
        """Score a model to compare with, such as "tfidf"."""
        found: TaskScores = self.series.once(f"{suite.name}-{_plain(name)}", lambda: suite.score(name))
        return joined([found])

    def _scores(
        self, model: str, row: Row, template: str, pooling: str, suite: Suite, seed: int
    ) -> TaskScores:
        name = "-".join([suite.name, _plain(model), row.template, pooling])
        if row.source:
            name += f"-{row.source}{'-noise' if row.noise else ''}-{seed}"

        def work() -> dict[str, Any]:
            if row.source is None:
                embedder = Embedder.from_pretrained(
                    model, template=template, pooling=pooling, device=self.device
                )
                return suite.score(embedder)
            return self._trained(
                self.series.partial / f"{name}.model", model, row, template, pooling, suite, seed
            )

        found: TaskScores = self.series.once(name, work)
        info(f"{name}: {100 * fmean(one['score'] for one in found.values()):.1f}")
        return found

    def _trained(
        self, place: Path, model: str, row: Row, template: str, pooling: str, suite: Suite, seed: int
    ) -> TaskScores:
        """One training; its checkpoint is chosen on the bundled development texts, and it is thrown away."""
        assert row.source
        if not place.exists():
            settings = {**read_recipe(self.scale.recipe), **self.scale.settings, "model": model, "seed": seed}
            settings |= {"template": template, "pooling": pooling, "noise": NOISE if row.noise else ()}
            settings["pairs"] = [str(self.sources.file(row.source))]
            if row.template == "emotion":  # a template longer than the others
                settings["max_tokens"] = max(settings["max_tokens"], EMOTION_TOKENS)
            scorer = ClusterScorer(read_development(BUNDLED_DEVELOPMENT))
            train(
                place, scorer=scorer, base_scores=self.base_scores, resume=True, trackers="none",
                device=self.device, **settings,
            )  # fmt: skip
        scores = suite.score(Embedder.from_pretrained(place, device=self.device))
        shutil.rmtree(place)
        return scores


def joined(runs: list[TaskScores]) -> Value:
    """Put the scores of all tasks and trainings together.

    The variance between trainings and the mean variance within them add up, as in the demo; draws of
    different tasks have nothing to do with each other, so the variance of their mean is the sum over the
    square of their number.

    Raises:
        RequestError: no task has a score.
    """
    if not runs or not runs[0]:
        raise RequestError("not one task could be scored: give --data-dir, or a network")
    means = [100 * fmean(task["score"] for task in run.values()) for run in runs]
    within = fmean(sum((100 * task["std"]) ** 2 for task in run.values()) / len(run) ** 2 for run in runs)
    between = stdev(means) ** 2 if len(means) > 1 else 0.0
    tasks = {name: 100 * fmean(run[name]["score"] for run in runs) for name in runs[0]}
    return Value(fmean(means), (between + within) ** 0.5, tasks, len(runs))


def _plain(model: str) -> str:
    """A model's name as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in model)[-60:]
