"""The result of the demo: scores, training runs, a map of the texts and the attention of one text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lastword.explanation import TokenAttention
from lastword.report.table import aligned
from lastword.training.selection import Selection
from lastword.uncertainty import Difference, Score, Summary, compare, summarize


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one setting on one data set.

    Attributes:
        dataset: name of the set.
        split: its split.
        model: "zero-shot", "adapted" or "tfidf".
        template: None for TF-IDF.
        pooling: None for TF-IDF.
        scores: V-measure, one score for each training seed; one for models that are not trained.
        layer: layer that is pooled; None for the last, and for TF-IDF.
    """

    dataset: str
    split: str
    model: str
    template: str | None
    pooling: str | None
    scores: tuple[Score, ...]
    layer: int | None = None

    @cached_property
    def summary(self) -> Summary:
        """Mean over the seeds, with its standard errors."""
        return summarize(self.scores)

    @property
    def setting(self) -> str:
        """Template, pooling and layer, as far as they say something."""
        layer = f"layer {self.layer}" if self.layer else None
        return ", ".join(part for part in (self.template, self.pooling, layer) if part)

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values; `from_dict` reads them."""
        summary, facts = self.summary, ("dataset", "split", "model", "template", "pooling", "layer")
        return {
            **{name: getattr(self, name) for name in facts},
            "v_measure": summary.value,
            "draw_se": summary.draw_se,
            "text_se": summary.text_se,
            "chance": summary.chance,
            "ami": summary.ami,
            "seeds": [score.to_dict() for score in self.scores],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ScoreRow:
        """Read the output of `to_dict`."""
        names = ("dataset", "split", "model", "template", "pooling", "layer")
        facts = {name: content[name] for name in names}
        return cls(**facts, scores=tuple(map(Score.from_dict, content["seeds"])))


@dataclass(frozen=True)
class Comparison:
    """The adapted model, as it was trained, and what it is compared with, paired."""

    first: ScoreRow
    second: ScoreRow

    @cached_property
    def difference(self) -> Difference:
        """V-measure of the first minus that of the second, with its 95 % interval and verdict."""
        return compare(self.first.scores, self.second.scores)

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values."""
        sides = {
            side: {name: getattr(row, name) for name in ("model", "template", "pooling", "layer")}
            for side, row in (("first", self.first), ("second", self.second))
        }
        facts = {"dataset": self.first.dataset, "split": self.first.split}
        return {**facts, **sides, **self.difference.to_dict()}


@dataclass(frozen=True)
class TrainingRun:
    """One training run: the loss of every step, and the development score of each checkpoint."""

    seed: int
    losses: Sequence[float]
    selection: Selection

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return {"seed": self.seed, "losses": list(self.losses), "selection": self.selection.to_dict()}


@dataclass(frozen=True)
class TextMap:
    """The same texts on two maps.

    Attributes:
        name: of the texts, such as "products, test split".
        texts: n texts.
        labels: n labels.
        before: (n, 2) points before the adaptation.
        after: (n, 2) points after it.
        before_name: setting of the first map, such as "zero-shot, none, mean".
        after_name: setting of the second.
    """

    name: str
    texts: Sequence[str]
    labels: Sequence[str]
    before: np.ndarray
    after: np.ndarray
    before_name: str
    after_name: str


@dataclass(frozen=True)
class AttentionPair:
    """Attention of the last token in one text, before and after the adaptation."""

    text: str
    before: Sequence[TokenAttention]
    after: Sequence[TokenAttention]


@dataclass(frozen=True)
class DemoResult:
    """Scores and facts of one demo.

    Attributes:
        output: the folder written.
        model: name of the base model.
        template: template of the training runs, a name or a string with `{text}`.
        pooling: pooling of the training runs.
        layer: layer that they keep the model up to; None keeps all.
        steps: optimizer steps of each run.
        pairs: number of training pairs.
        seconds: time of the whole demo.
        peak_memory_mb: largest resident memory, in MiB.
        threads: processor cores that torch used.
        versions: package → its version.
        scores: a row for each setting and data set.
        runs: one for each seed.
        text_map: the texts as points, before and after.
        attention: of one text, before and after.
    """

    output: Path
    model: str
    template: str
    pooling: str
    layer: int | None
    steps: int
    pairs: int
    seconds: float
    peak_memory_mb: int
    threads: int
    versions: Mapping[str, str] = field(default_factory=dict)
    scores: Sequence[ScoreRow] = ()
    runs: Sequence[TrainingRun] = ()
    text_map: TextMap | None = None
    attention: AttentionPair | None = None

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """For each data set, the adapted model against the best zero-shot setting and against TF-IDF.

        The adapted model is scored as it was trained, not by its best row; the best zero-shot setting is
        selected on the test set itself. Both favour zero-shot.
        """
        pairs, as_trained = [], ("adapted", self.template, self.pooling, self.layer)
        for rows in rows_by_dataset(self.scores).values():
            settings = {(row.model, row.template, row.pooling, row.layer): row for row in rows}
            adapted = settings.get(as_trained)
            for model in ("zero-shot", "tfidf"):
                best = next((row for row in rows if row.model == model), None)
                if adapted and best:
                    pairs.append(Comparison(adapted, best))
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """The content of scores.json: everything but the map and the attention."""
        facts = (
            "model",
            "template",
            "pooling",
            "layer",
            "steps",
            "pairs",
            "seconds",
            "peak_memory_mb",
            "threads",
        )
        return {
            "output": str(self.output),
            **{name: getattr(self, name) for name in facts},
            "versions": dict(self.versions),
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "scores": [row.to_dict() for row in self.scores],
            "runs": [run.to_dict() for run in self.runs],
        }


def rows_by_dataset(rows: Iterable[ScoreRow]) -> dict[str, list[ScoreRow]]:
    """Name of each data set and split → its rows, best first."""
    datasets: dict[str, list[ScoreRow]] = {}
    for row in rows:
        datasets.setdefault(f"{row.dataset}, {row.split} split", []).append(row)
    return {name: sorted(rows, key=lambda row: -row.summary.value) for name, rows in datasets.items()}


def scores_table(rows: Iterable[ScoreRow]) -> str:
    """Text for a terminal: one block for each data set, best score first."""
    rows = list(rows)
    layers = ["layer"] if any(row.layer for row in rows) else []
    titles = ("model", "template", "pooling", *layers, "V-measure", "± draws", "± texts", "chance", "AMI")
    blocks = []
    for name, ranked in rows_by_dataset(rows).items():
        cells = [titles, *(_cells(row, bool(layers)) for row in ranked)]
        blocks.append(f"{name}\n{aligned(cells, indent='  ')}")
    return "\n\n".join(blocks)


def _cells(row: ScoreRow, with_layer: bool) -> tuple[str, ...]:
    summary = row.summary
    values = (summary.value, summary.draw_se, summary.text_se, summary.chance, summary.ami)
    layer = [str(row.layer or "last") if row.template else ""] if with_layer else []
    return (row.model, row.template or "", row.pooling or "", *layer, *map(points, values))


def points(value: float | None) -> str:
    """0 … 1 as points with one digit; a dash if it is not known."""
    return "–" if value is None else f"{100 * value:.1f}".replace("-", "−")
