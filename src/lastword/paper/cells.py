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
from lastword.errors import RequestError
from lastword.evaluation import ClusterScorer
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.files.run_folder import RunFolder
from lastword.paper.pairs import PairSources
from lastword.paper.scales import Scale
from lastword.paper.suites import Suite
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

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values, as JSON has them: for each seed the score of each task with all its replicates."""
        return [{name: score.to_dict() for name, score in run.items()} for run in self.runs]


@dataclass(frozen=True)
class CellRunner:
    """Makes and scores embedders, each once.

    Attributes:
        folder: of the finished cells.
        scale: models, recipe, seeds.
        pairs: by name.
        device: None is the best available one.
        base_scores: development scores of models before training; see `train`.
    """

    folder: RunFolder
    scale: Scale
    pairs: PairSources
    device: str | None = None
    base_scores: dict[str, Score] = field(default_factory=dict)

    @property
    def _results(self) -> Path:  # of finished MTEB tasks
        return self.folder.partial / "results"

    def cell(self, model: str, row: Row, column: str, suite: Suite, template: str = "") -> Cell | None:
        """Measure a cell, or read it if it is finished; None if its pairs are missing.

        Args:
            model: name or folder of the base model.
            row: how the embedder is made.
            column: "mean", "last" or "eos".
            suite: what it is scored on.
            template: that of the rows "emotion".
        """
        if row.source and not self.pairs.has(row.source):
            return None
        used = template if row.template == "emotion" else row.template
        seeds = range(self.scale.seeds if row.source else 1)
        return Cell(tuple(self._run(model, row, used, POOLING[column], suite, seed) for seed in seeds))

    def peer(self, name: str, suite: Suite) -> Cell:
        """Score a model to compare with, such as "tfidf"."""
        work = partial(suite.score, name, self._results)
        return Cell((self._once(f"{suite.kind}-{_file_name(name)}", work),))

    def _run(
        self, model: str, row: Row, template: str, pooling: str, suite: Suite, seed: int
    ) -> dict[str, Score]:
        name = "-".join([suite.kind, _file_name(model), row.template, pooling])
        if row.source:
            name += f"-{row.source}{'-noise' if row.noise else ''}-{seed}"
        settings = {"model": model, "template": template, "pooling": pooling, "seed": seed}
        folder = self.folder.partial / f"{name}.model"
        return self._once(name, partial(self._score, folder, row, settings, suite))

    def _once(self, name: str, work: Callable[[], dict[str, Score]]) -> dict[str, Score]:
        """Task → score, computed or read from the folder."""
        content = self.folder.once(name, lambda: {task: score.to_dict() for task, score in work().items()})
        if not content:
            raise RequestError("no task could be scored: pass data_dir=…, or use a network")
        scores = {task: Score.from_dict(score) for task, score in content.items()}
        info(f"{name}: {100 * fmean(score.value for score in scores.values()):.1f}")
        return scores

    def _score(self, folder: Path, row: Row, settings: dict[str, Any], suite: Suite) -> dict[str, Score]:
        """Scores of a model, trained first if its row says so. The bundled development texts choose its checkpoint."""
        if not row.source:
            model, how = settings["model"], {name: settings[name] for name in ("template", "pooling")}
            return suite.score(Embedder.from_pretrained(model, **how, device=self.device), self._results)
        if not folder.exists():  # otherwise it was interrupted between training and scoring
            settings = {**read_recipe(self.scale.recipe), **self.scale.settings, **settings}
            settings |= {"noise": NOISES if row.noise else (), "pairs": [str(self.pairs.file(row.source))]}
            if row.template == "emotion":  # longer than the other templates
                settings["max_tokens"] = max(settings["max_tokens"], EMOTION_TOKENS)
            scorer = ClusterScorer(read_development(BUNDLED_DEVELOPMENT))
            train(
                folder, scorer=scorer, base_scores=self.base_scores, resume=True, trackers="none", device=self.device,
                **settings,
            )  # fmt: skip
        scores = suite.score(Embedder.from_pretrained(folder, device=self.device), self._results)
        shutil.rmtree(folder)
        return scores


def _file_name(model: str) -> str:
    """A model's name as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in model)[-60:]
