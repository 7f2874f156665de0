"""What an embedder is scored on: MTEB's tasks by MTEB's own code, and labelled files by the same protocols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lastword.encoder import TextEncoder
from lastword.encoders.by_name import load_encoder
from lastword.evaluation import benchmark
from lastword.evaluation.benchmark.copies import TABLES
from lastword.evaluation.benchmark.names import PAPER_CLASSIFICATION, PAPER_CLUSTERING, PAPER_EIGHT
from lastword.evaluation.labels import SEED
from lastword.evaluation.local import read_task
from lastword.uncertainty import Score, combine

TASKS = {
    "clustering": PAPER_CLUSTERING,
    "eight": PAPER_EIGHT,
    "classification": PAPER_CLASSIFICATION,
    "emotion": ("EmotionClassification",),
}
"""Kind of suite → the paper's tasks."""


@dataclass(frozen=True)
class LabelledFile:
    """A file of texts to cluster that is no MTEB task: its name in tables, path in the data folder, and split."""

    name: str
    file: str
    split: str | None = None


BUNDLED = (LabelledFile("topics", "topics", "test"), LabelledFile("products", "products", "test"))
STACK_OVERFLOW = LabelledFile("Stack Overflow titles", "clustering/stackoverflow_titles.parquet")


@dataclass(frozen=True)
class Suite:
    """Tasks and files.

    Attributes:
        kind: "clustering", "eight" (the tasks of Table 8), "classification" or "emotion".
        tasks: names of MTEB tasks.
        files: path or bundled name → what it is.
        data: folder with local copies of the tasks' texts; None is the Hub.
        max_texts: a fixed sample of at most so many texts of each file is scored; None takes all. Tasks are
            always scored whole.
    """

    kind: str
    tasks: tuple[str, ...]
    files: dict[Path, LabelledFile]
    data: Path | None
    max_texts: int | None

    @property
    def names(self) -> list[str]:
        """Of all tasks and files."""
        return [*self.tasks, *(file.name for file in self.files.values())]

    @property
    def description(self) -> str:
        """For the report."""
        parts = []
        if self.tasks:
            listed = ", ".join(self.tasks) if len(self.tasks) <= 8 else f"{len(self.tasks)} tasks of MTEB"
            parts.append(f"{listed} (whole, by MTEB's own code)")
        if self.files:
            names = ", ".join(file.name for file in self.files.values())
            most = f"at most {self.max_texts:,} texts of each, " if self.max_texts else ""
            parts.append(f"{names} ({most}by the protocol of MTEB's newer clustering tasks)")
        return "; ".join(parts)

    def revisions(self) -> dict[str, str]:
        """MTEB task → which texts it has, for the manifest."""
        if not self.tasks:
            return {}
        from lastword.evaluation.benchmark.scoring import Texts, make_task  # importing mteb takes seconds

        texts = Texts(self.data)
        return {name: texts.origin_of(make_task(name, SEED)) for name in self.tasks}

    def score(self, model: TextEncoder | str, results: Path) -> dict[str, Score]:
        """Task or file → score of a model.

        Args:
            model: an encoder, or a name that `evaluate` knows.
            results: folder for finished tasks: after an interruption they are not repeated.
        """
        encoder = load_encoder(model)
        scores = self._score_tasks(encoder, results) if self.tasks else {}
        for path, file in self.files.items():
            task = read_task(path, split=file.split, max_texts=self.max_texts)
            scores[file.name] = task.score(encoder)
        return scores

    def _score_tasks(self, encoder: TextEncoder, results: Path) -> dict[str, Score]:
        """A task with several English subsets counts as their mean, as in MTEB.

        Where only some of them are available, the name of the score says which.
        """
        result = benchmark(encoder, self.tasks, data_dir=self.data, output=results, cache=False)
        incomplete = {missing.task for missing in result.missing}
        scores = {}
        for task in dict.fromkeys(row.task for row in result.tasks):
            rows = [row for row in result.tasks if row.task == task]
            name = f"{task} ({', '.join(row.subset for row in rows)})" if task in incomplete else task
            scores[name] = combine([row.score for row in rows])
        return scores


def suite_of(kind: str, data: Path | None, all_tasks: bool, max_texts: int | None) -> Suite | None:
    """The texts of a kind of suite; None if there are none.

    With `all_tasks` it has the paper's whole list, from the Hub where there is no local copy.
    """
    if all_tasks:
        return Suite(kind, TASKS[kind], {}, data, None)
    local = {name for name, form in TABLES.items() if data and (data / f"{form.known}.parquet").is_file()}
    tasks = tuple(name for name in TASKS[kind] if name in local)
    files = {}
    if kind in ("clustering", "eight"):
        if data and (data / STACK_OVERFLOW.file).is_file():
            files[data / STACK_OVERFLOW.file] = STACK_OVERFLOW
        if not tasks and not files:
            files = {Path(file.file): file for file in BUNDLED}
    return Suite(kind, tasks, files, data, max_texts) if tasks or files else None
