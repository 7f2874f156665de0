"""What a benchmark returns."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lastword.uncertainty import Difference, Score, combine, compare

FEW_DOCUMENTS = 100
"""A clustering of fewer drawn documents is marked: most of a difference is due to the draw."""


@dataclass(frozen=True)
class SubsetScore:
    """The score of one subset of a task with one seed of the protocol.

    Attributes:
        subset: mteb's name of it; "default" where a task has only one.
        documents: texts in the subset; `score.n` of them are scored, since a task may draw fewer.
        score: mean over the splits, with mteb's value to the last digit.
    """

    subset: str
    documents: int
    score: Score


@dataclass(frozen=True)
class TaskScore:
    """The score of one subset of a task.

    Attributes:
        task: mteb's name.
        subset: mteb's name of it; "default" where a task has only one.
        documents: texts in the subset.
        texts: how they compare with mteb's: `EQUAL`, `UNKNOWN` or the differences.
        splits: that the score is the mean of.
        seeds: the score with each seed of the protocol, mteb's own first; each seed draws other documents,
            training texts and starts of k-means.
    """

    task: str
    subset: str
    documents: int
    texts: str
    splits: tuple[str, ...]
    seeds: tuple[Score, ...]

    @property
    def score(self) -> Score:
        """With mteb's own seed."""
        return self.seeds[0]

    @property
    def mean(self) -> Score:
        """Mean over the seeds, by which two models are compared."""
        return combine(self.seeds)

    @property
    def few_documents(self) -> bool:
        """Whether so few documents are drawn that the score says little."""
        return self.score.n < FEW_DOCUMENTS and self.score.n < self.documents

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            **vars(self),
            "splits": list(self.splits),
            "seeds": [score.to_dict() for score in self.seeds],
            "few_documents": self.few_documents,
        }


@dataclass(frozen=True)
class MissingTask:
    """A task, or a subset of one, that could not be scored.

    Attributes:
        task: mteb's name.
        subset: None for the whole task.
        reason: in one line.
        dataset: path@revision on the Hub.
        how: how to get its texts.
    """

    task: str
    subset: str | None
    reason: str
    dataset: str
    how: str


@dataclass(frozen=True)
class BenchmarkResult:
    """One model on tasks of MTEB.

    Attributes:
        model: its name.
        template, pooling: of a decoder; None for other models.
        names: of the tasks that were asked for.
        tasks: a score for each subset of each task that could be scored.
        missing: the others.
        encoded: texts that were embedded; None without a vector cache.
        from_cache: texts whose vector was in the cache; None without one.
        output: folder of the results.
        seconds: for everything.
    """

    model: str
    template: str | None
    pooling: str | None
    names: tuple[str, ...]
    tasks: tuple[TaskScore, ...]
    missing: tuple[MissingTask, ...]
    encoded: int | None
    from_cache: int | None
    output: str
    seconds: float

    @property
    def complete(self) -> dict[str, list[TaskScore]]:
        """Task → its subsets, of the tasks that have all of them."""
        incomplete = {task.task for task in self.missing}
        return {
            name: [row for row in self.tasks if row.task == name]
            for name in self.names
            if name not in incomplete
        }

    @property
    def average_of_complete(self) -> float | None:
        """Mean over the complete tasks, 0 … 1; None if there are none."""
        means = [statistics.fmean(row.score.value for row in rows) for rows in self.complete.values()]
        return statistics.fmean(means) if means else None

    @property
    def average(self) -> float | None:
        """Mean over all tasks, 0 … 1; None if anything is missing."""
        return None if self.missing else self.average_of_complete

    def against(self, other: BenchmarkResult) -> Mapping[tuple[str, str], Difference]:
        """Compare two models on the tasks that both were scored on: task and subset → this one less the other.

        Raises:
            RequestError: their texts or seeds differ.
        """
        theirs = {(row.task, row.subset): row for row in other.tasks}
        rows = [(row, theirs[key]) for row in self.tasks if (key := (row.task, row.subset)) in theirs]
        return {(mine.task, mine.subset): compare(mine.mean, its.mean) for mine, its in rows}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            **vars(self),
            "names": list(self.names),
            "tasks": [row.to_dict() for row in self.tasks],
            "missing": [asdict(task) for task in self.missing],
            "average": self.average,
            "average_of_complete": self.average_of_complete,
            "complete": len(self.complete),
        }
