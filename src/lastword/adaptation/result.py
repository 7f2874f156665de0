"""The result of an adaptation: what was chosen, trained and compared, and where the files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lastword.adaptation.choosing import Choice
from lastword.adaptation.scoring import LABEL_FREE, LABELLED, ModelRow
from lastword.adaptation.sources import SourceReport
from lastword.training.selection import Selection
from lastword.uncertainty import Difference

MODEL, GROUPS, REPORT, RESULT = "model", "groups", "report.html", "adapted.json"
"""Folders and files of the output."""


@dataclass(frozen=True)
class AdaptResult:
    """A model adapted to a corpus, compared with others, and the groups of the corpus.

    Attributes:
        output: the folder.
        corpus: name of the input.
        model: name of the base model.
        label_column: column of labels; None without.
        rows: rows of the corpus.
        training, development, test: texts of the three parts of the sample.
        choice: template, pooling and layer.
        sources: sources of pairs.
        steps: planned optimizer steps.
        selection: the checkpoint that was kept, and the scores of all.
        losses: of every step.
        models: the adapted model first.
        plans: what was forecast: "training" and "embedding" → memory, time and so on.
        groups: the content of clusters.json.
        seconds: time of this call, without that of an interrupted run before it.
    """

    output: Path
    corpus: str
    model: str
    label_column: str | None
    rows: int
    training: int
    development: int
    test: int
    choice: Choice
    sources: Sequence[SourceReport]
    steps: int
    selection: Selection
    losses: Sequence[float]
    models: Sequence[ModelRow]
    plans: Mapping[str, Any]
    groups: Mapping[str, Any]
    seconds: float

    @property
    def measure(self) -> str:
        """Name of the score that decides: V-measure with labels, else a score that needs none."""
        return LABELLED if self.label_column else LABEL_FREE[0]

    @property
    def adapted(self) -> ModelRow:
        """The adapted model."""
        return self.models[0]

    @cached_property
    def unadapted(self) -> ModelRow:
        """The model before training, in the setting that scores higher on the test texts, which favours it."""
        rows = [row for row in self.models if row.kind in ("unadapted", "best unadapted")]
        return max(rows, key=lambda row: row.scores[self.measure].value)

    @cached_property
    def gain(self) -> Difference:
        """The adapted model against the model before training."""
        return self.adapted.against(self.unadapted, self.measure)

    @property
    def kept(self) -> str:
        """Kind of the model that was written: "adapted", or "unadapted" if training lowered the development score."""
        return "unadapted" if self.selection.gain and self.selection.gain.value < 0 else "adapted"

    @property
    def others(self) -> list[ModelRow]:
        """Rows but the adapted model's."""
        return list(self.models[1:])

    def to_dict(self) -> dict[str, Any]:
        """The content of adapted.json."""
        plain = (
            "corpus", "model", "label_column", "rows", "training", "development", "test", "steps", "measure", "kept",
        )  # fmt: skip
        measures = list(self.adapted.scores)
        return {
            "output": str(self.output),
            **{name: getattr(self, name) for name in plain},
            "gain": self.gain.to_dict(),
            "choice": self.choice.to_dict(),
            "sources": [source.to_dict() for source in self.sources],
            "selection": self.selection.to_dict(),
            "losses": list(self.losses),
            "models": [row.to_dict() for row in self.models],
            "differences": [
                {"model": row.name, "kind": row.kind}
                | {name: self.adapted.against(row, name).to_dict() for name in measures}
                for row in self.others
            ],
            "plans": dict(self.plans),
            "groups": len(self.groups["groups"]),
            "seconds": round(self.seconds, 1),
        }
