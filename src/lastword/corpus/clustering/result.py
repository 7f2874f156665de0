"""The result of clustering: groups, how they were found, and where the files are."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.corpus.clustering.choosing import Candidate
from lastword.corpus.clustering.families import Merge
from lastword.corpus.clustering.labels import Agreement
from lastword.corpus.clustering.names import Words
from lastword.report.table import aligned


@dataclass(frozen=True)
class ShownText:
    """A text of a group.

    Attributes:
        row: its number in the table, from 0.
        text: the text.
        confidence: that it is in the group, 0 … 1.
    """

    row: int
    text: str
    confidence: float


@dataclass(frozen=True)
class Group:
    """Texts that belong together.

    Attributes:
        group: its number, from 0, the largest group first; -1 is of the texts in no group.
        name: of its words, or by a chat model.
        size: number of texts.
        words: what the name is made of.
        stability: mean Jaccard similarity to the most similar group of a bootstrap, 0 … 1: stable from 0.75 on,
            dissolved below 0.5; None where it was not measured.
        typical: the texts nearest to the centroid.
        outliers: those farthest from it.
        family: number of its family in the hierarchy; None without one.
        label, purity: with labels, the most frequent one and its share.
    """

    group: int
    name: str
    size: int
    words: Words
    stability: float | None
    typical: list[ShownText]
    outliers: list[ShownText]
    family: int | None = None
    label: str | None = None
    purity: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        values = dataclasses.asdict(self)
        for text in (*values["typical"], *values["outliers"]):
            text["confidence"] = round(text["confidence"], 4)
        return values | {"stability": _rounded(self.stability), "purity": _rounded(self.purity)}


@dataclass(frozen=True)
class ClusterResult:
    """Groups of a corpus.

    Attributes:
        output: the folder.
        rows: texts.
        method: "k-means" or "density".
        groups: largest first; those of no group are last, as number -1.
        reason: why there are so many.
        candidates: figures for each number of groups that was tried.
        fitted: texts that groups were found on.
        hierarchy: merges of groups, nearest first; None if not asked for.
        families: names of the families.
        labels: agreement with known labels; None without.
        model: name of the model whose vectors were clustered.
        naming: how groups got their names.
        seconds: time of this call.
    """

    output: Path
    rows: int
    method: str
    groups: list[Group]
    reason: str
    candidates: list[Candidate]
    fitted: int
    hierarchy: list[Merge] | None
    families: list[str]
    labels: Agreement | None
    model: str
    naming: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values: the content of clusters.json."""
        return {
            "output": str(self.output), "rows": self.rows, "model": self.model, "method": self.method,
            "naming": self.naming, "reason": self.reason, "fitted": self.fitted,
            "candidates": [
                {name: round(value, 4) for name, value in vars(each).items()} for each in self.candidates
            ],
            "groups": [group.to_dict() for group in self.groups],
            "families": self.families,
            "hierarchy": None if self.hierarchy is None else [vars(merge) for merge in self.hierarchy],
            "labels": self.labels and self.labels.to_dict(),
            "seconds": round(self.seconds, 2),
        }  # fmt: skip


def as_text(result: ClusterResult) -> str:
    """The groups as a table for a terminal."""
    labelled, families = result.labels is not None, result.families
    titles = ("group", "texts", "share", "stability", *(("label", "purity") if labelled else ()), "name")
    rows = [(*titles, "family") if families else titles]
    for group in result.groups:
        label = (group.label or "–", _shown(group.purity)) if labelled else ()
        family = ("–" if group.family is None else families[group.family],) if families else ()
        rows.append((
            "–" if group.group < 0 else str(group.group), f"{group.size:,}", f"{group.size / result.rows:.1%}",
            _shown(group.stability), *label, group.name, *family,
        ))  # fmt: skip
    lines = [aligned(rows), "", result.reason]
    if result.labels:
        labels = result.labels
        lines.append(
            f"agreement with {labels.column!r}: V-measure {labels.v_measure:.3f} (chance {labels.chance:.3f}), "
            f"AMI {labels.ami:.3f}, purity {labels.purity:.3f}"
        )
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 4)
