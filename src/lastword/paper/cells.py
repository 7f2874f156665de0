"""The scores of each row and column: an embedder is made as the row says, trained if it says so, and scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lastword.config import read_recipe
from lastword.console import info
from lastword.embedding import Embedder
from lastword.encoders.by_name import load_encoder, settings_of
from lastword.errors import RequestError
from lastword.evaluation import ClusterScorer
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.paper.folder import ReportFolder
from lastword.paper.pairs import PairSources
from lastword.paper.scales import Scale
from lastword.paper.suites import Suite
from lastword.paper.untrained import Untrained, Way
from lastword.training import train
from lastword.uncertainty import Score, Summary, combine, summarize

POOLING = {"mean": "mean", "last": "lasttoken", "eos": "eos"}
EMOTION_TOKENS = 128
NOISES = ("delete", "swap", "characters")


@dataclass(frozen=True)
class Row:
    """How an embedder is made, read from a row's name such as "CCW + wiki-translate + aug".

    Attributes:
        template: name of a template, or "emotion" for the table's own.
        source: of the pairs that it is trained on, or None.
        noise: whether the positives are augmented with noise.
        recipe: that it is trained by; None is the scale's, with its settings.
    """

    template: str
    source: str | None = None
    noise: bool = False
    recipe: str | None = None

    @classmethod
    def parse(cls, name: str) -> Row:
        """Read a row's name."""
        template, *rest = name.split(" + ")
        return cls(template.lower(), rest[0] if rest else None, "aug" in rest)


@dataclass(frozen=True)
class Cell:
    """What was measured for one row and column.

    Attributes:
        runs: for each training seed (one entry where nothing is trained) the scores, task → score.
    """

    runs: tuple[dict[str, Score], ...]

    @cached_property
    def scores(self) -> list[Score]:
        """The mean over the tasks, for each training seed."""
        return [combine(list(run.values())) for run in self.runs]

    @cached_property
    def summary(self) -> Summary:
        """Mean over tasks and seeds, with its standard errors."""
        return summarize(self.scores)

    @property
    def tasks(self) -> dict[str, Summary]:
        """Task → mean over the seeds of that task alone."""
        return {name: summarize([run[name] for run in self.runs]) for name in self.runs[0]}

    def only(self, tasks: list[str]) -> Cell:
        """The same cell with the scores of these tasks, as far as it has them."""
        return Cell(tuple({name: run[name] for name in tasks if name in run} for run in self.runs))


@dataclass(frozen=True)
class CellRunner:
    """Makes and scores embedders, each once.

    Attributes:
        folder: of the finished cells.
        scale: models, recipe, seeds.
        pairs: by name.
        device: None is the best available one.
        base_scores: development scores of models before training; see `train`.
        untrained: kind of suite and model → the cells without training that are asked for, by name: one
            pass of the model gives all of them.
        loaded: the model of the latest of these cells.
    """

    folder: ReportFolder
    scale: Scale
    pairs: PairSources
    device: str | None = None
    base_scores: dict[str, Score] = field(default_factory=dict)
    untrained: dict[tuple[str, str], dict[str, Way]] = field(default_factory=dict)
    loaded: dict[str, Untrained] = field(default_factory=dict)

    @property
    def _results(self) -> Path:  # of finished MTEB tasks
        return self.folder.partial / "results"

    def cell(
        self, model: str, row: Row, column: str, suite: Suite, template: str = "", layer: int | None = None
    ) -> Cell | None:
        """Measure a cell, or read it if it is finished; None if its pairs are missing.

        Args:
            model: name or folder of the base model.
            row: how the embedder is made.
            column: "mean", "last" or "eos".
            suite: what it is scored on.
            template: that of the rows "emotion".
            layer: that is pooled, of a row without training; None is the last.
        """
        if not row.source:
            name = self.announce(model, row, column, suite.kind, template, layer)
            return Cell((self._once(name, partial(self._score_untrained, name, model, suite)),))
        if not self.pairs.has(row.source):
            return None
        how = {"model": model, "template": _template(row, template), "pooling": POOLING[column]}
        runs = []
        for seed, name in enumerate(self.run_names(model, row, column, suite.kind)):
            work = partial(self._score_trained, name, row, {**how, "seed": seed}, suite)
            runs.append(self._once(name, work))
        return Cell(tuple(runs))

    def run_names(self, model: str, row: Row, column: str, kind: str) -> list[str]:
        """The names of the training runs of a cell, one for each seed."""
        parts = [_name(kind, model, row, column), str(row.source), *(["noise"] if row.noise else [])]
        parts += [row.recipe] if row.recipe else []
        return ["-".join([*parts, str(seed)]) for seed in range(self.scale.seeds)]

    def finished(self, name: str) -> bool:
        """Whether a cell or training run was measured already."""
        return self.folder.has(name)

    def announce(
        self, model: str, row: Row, column: str, kind: str, template: str = "", layer: int | None = None
    ) -> str:
        """The name of a cell without training, which is measured later, in a pass that other cells share."""
        name = _name(kind, model, row, column) + ("" if layer is None else f"-layer{layer}")
        way = Way(_template(row, template), POOLING[column], layer)
        self.untrained.setdefault((kind, model), {}).setdefault(name, way)
        return name

    def base(self, model: str) -> Untrained:
        """A base model, which stays loaded until another is needed."""
        if model not in self.loaded:
            self.loaded.clear()
            folder = self.folder.partial / "vectors" / _file_name(model)
            self.loaded[model] = Untrained(model, folder, self.device, self.scale.dtype)
        return self.loaded[model]

    def peer(self, name: str, suite: Suite) -> Cell:
        """Score a model to compare with, such as "tfidf", in the precision of the others if it has one."""

        def work() -> dict[str, Score]:
            own = {"dtype": self.scale.dtype, "device": self.device}
            how = {key: value for key, value in own.items() if key in settings_of(name)}
            return suite.score(load_encoder(name, **how), self._results)

        return Cell((self._once(f"{suite.kind}-{_file_name(name)}", work),))

    def _once(self, name: str, work: Callable[[], dict[str, Score]]) -> dict[str, Score]:
        """Task → score, computed or read from the folder."""
        content = self.folder.once(name, lambda: {task: score.to_dict() for task, score in work().items()})
        if not content:
            raise RequestError("no task could be scored: pass data_dir=…, or use a network")
        scores = {task: Score.from_dict(score) for task, score in content.items()}
        info(f"{name}: {100 * fmean(score.value for score in scores.values()):.1f}")
        return scores

    def _score_untrained(self, name: str, model: str, suite: Suite) -> dict[str, Score]:
        ways = self.untrained[suite.kind, model]
        later = [way for other, way in ways.items() if other != name and not self.finished(other)]
        return suite.score(self.base(model).encoder([ways[name], *later]), self._results)

    def _score_trained(self, name: str, row: Row, how: dict[str, Any], suite: Suite) -> dict[str, Score]:
        """Scores of a model that is trained first. The bundled development texts choose its checkpoint."""
        self.loaded.clear()
        folder = self.folder.partial / f"{name}.model"
        if not folder.exists():  # otherwise it was interrupted between training and scoring
            settings = read_recipe(row.recipe or self.scale.recipe)
            own = {"dtype"} if row.recipe else set(self.scale.settings)
            settings |= {name: value for name, value in self.scale.settings.items() if name in own} | how
            assert row.source is not None
            settings |= {"noise": NOISES if row.noise else (), "pairs": [str(self.pairs.file(row.source))]}
            if row.template == "emotion":  # longer than the other templates
                settings["max_tokens"] = max(settings["max_tokens"], EMOTION_TOKENS)
            scorer = ClusterScorer(read_development(BUNDLED_DEVELOPMENT))
            train(
                folder, scorer=scorer, base_scores=self.base_scores, resume=True, trackers="none", device=self.device,
                **settings,
            )  # fmt: skip
        scores = suite.score(
            Embedder.from_pretrained(folder, device=self.device, dtype=self.scale.dtype),
            self._results,
        )
        shutil.rmtree(folder)
        return scores


def _template(row: Row, of_the_table: str) -> str:
    return of_the_table if row.template == "emotion" else row.template


def _name(kind: str, model: str, row: Row, column: str) -> str:
    return "-".join([kind, _file_name(model), row.template, POOLING[column]])


def _file_name(model: str) -> str:
    """A model's name as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in model)[-60:]
