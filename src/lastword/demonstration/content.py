"""What a report is made of: numbers, texts and points, and nothing about how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lastword.demonstration.table import Row
from lastword.explanation import TokenAttention
from lastword.training.selection import Selection


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        seed: its seed.
        losses: loss of every step.
        selection: the development score at each checkpoint, and the one that was kept.
    """

    seed: int
    losses: Sequence[float]
    selection: Selection


@dataclass(frozen=True)
class TextMap:
    """The same texts on two maps.

    Attributes:
        name: what the texts are, such as "products, test split".
        texts: n texts.
        labels: n labels.
        before: (n, 2) points before the adaptation.
        after: (n, 2) points after it.
        before_name: what made the first map, such as "zero-shot, none, mean".
        after_name: what made the second.
    """

    name: str
    texts: Sequence[str]
    labels: Sequence[str]
    before: np.ndarray
    after: np.ndarray
    before_name: str = ""
    after_name: str = ""


@dataclass(frozen=True)
class AttentionPair:
    """Where the last token looks in one text.

    Attributes:
        text: the text.
        before: attention of the model before the adaptation.
        after: attention of the adapted model.
    """

    text: str
    before: Sequence[TokenAttention]
    after: Sequence[TokenAttention]


@dataclass(frozen=True)
class Report:
    """Everything that the page shows.

    Attributes:
        model: name of the base model.
        template: template of the training, a name or a string with `{text}`.
        pooling: pooling of the training.
        steps: optimizer steps of each training.
        pairs: pairs trained on.
        seconds: time of the whole run.
        peak_memory_mb: largest resident memory, in MiB.
        versions: name of a piece of software → its version.
        scores: rows with dataset, split, model ("zero-shot", "adapted" or "tfidf"), template, pooling,
            v_measure and std (both 0 … 1).
        trainings: one for each seed.
        map: the texts as points, before and after.
        attention: one text, before and after.
    """

    model: str
    template: str
    pooling: str
    steps: int
    pairs: int
    seconds: float
    peak_memory_mb: int
    versions: Mapping[str, str]
    scores: Sequence[Row]
    trainings: Sequence[Training] = ()
    map: TextMap | None = None
    attention: AttentionPair | None = None
