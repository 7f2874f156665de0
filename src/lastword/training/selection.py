"""Development scores of a training run: which checkpoint is kept, and when to stop early. Never a test set.

The score is a function that the caller hands in, such as V-measure on labelled development texts. Without one,
held-out pairs are ranked, which needs no labels. "Better" means better by `lastword.uncertainty.compare`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from lastword.embedding import Embedder
from lastword.encoder import Wrapper
from lastword.errors import RequestError
from lastword.files.plain_json import json_text
from lastword.files.run_folder import hash_of
from lastword.geometry import spearman
from lastword.training.losses import false_negatives
from lastword.training.pairs import Pairs
from lastword.uncertainty import Difference, Score, compare, resamples, sample_hash

CHOICE, SCORES = "choice.json", "scores.json"


class Scorer(Protocol):
    """A development score; higher is better.

    Attributes:
        criterion: what it measures and on what, in a few words.
        inputs: texts that it reads, as a message calls them → a fingerprint; a resumed run must have the same.
    """

    criterion: str
    inputs: dict[str, str]

    def __call__(self, embedder: Embedder) -> Score:
        """Score the embedder as it is now."""
        ...


@dataclass(frozen=True)
class LastStep:
    """In place of a scorer: nothing is scored, and the last step is kept.

    Attributes:
        criterion: the reason, in a few words.
        inputs: none.
    """

    criterion: str = "last step"
    inputs: dict[str, str] = field(default_factory=dict)


class HeldOutPairs:
    """Mean reciprocal rank of each held-out positive among the positives of all held-out anchors.

    Texts that training masks, such as copies of the positive, do not count, see `false_negatives`.
    """

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.criterion = f"mean reciprocal rank on {len(pairs)} held-out pairs"
        self.inputs = {"the held-out pairs": hash_of([pairs.anchors, pairs.positives])}

    def __call__(self, embedder: Embedder) -> Score:
        """Score from 0 to 1."""
        anchors = embedder.encode(self.pairs.anchors, normalize=True)
        positives = embedder.encode(self.pairs.positives, normalize=True)
        similarity = anchors @ positives.T
        as_near = similarity >= np.diag(similarity)[:, None]
        masked = false_negatives(self.pairs.anchors, self.pairs.positives).numpy()
        reciprocal_ranks = 1.0 / (as_near & ~masked).sum(1)
        return Score(
            metric="mrr",
            value=float(reciprocal_ranks.mean()),
            draws=(),
            resamples=resamples(lambda rows: [reciprocal_ranks[rows].mean()], len(self.pairs)),
            n=len(self.pairs),
            sample=sample_hash([*self.pairs.anchors, *self.pairs.positives]),
        )


class HeldOutGrades:
    """Spearman's correlation of cosines and scores of held-out graded pairs; the mean over their files."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.criterion = f"Spearman's correlation on {len(pairs)} held-out graded pairs"
        self.inputs = {"the held-out pairs": hash_of([pairs.anchors, pairs.positives, pairs.scores])}

    def __call__(self, embedder: Embedder) -> Score:
        """Score from -1 to 1."""
        first = embedder.encode(self.pairs.anchors, normalize=True)
        second = embedder.encode(self.pairs.positives, normalize=True)
        cosines, scores, files = (
            (first * second).sum(1),
            np.array(self.pairs.scores),
            np.array(self.pairs.files),
        )

        def mean(rows: np.ndarray) -> float:
            parts = [rows[files[rows] == file] for file in np.unique(files[rows])]
            return float(np.mean([spearman(scores[part], cosines[part]) for part in parts]))

        n = len(self.pairs)
        return Score(
            metric="cosine_spearman",
            value=mean(np.arange(n)),
            draws=(),
            resamples=resamples(lambda rows: [mean(rows)], n),
            n=n,
            sample=sample_hash([*self.pairs.anchors, *self.pairs.positives]),
        )


@dataclass(frozen=True)
class Selection:
    """The checkpoint that was kept, and the scores of all.

    Attributes:
        criterion: what was measured.
        step: step of the checkpoint kept.
        scores: step → score; step 0 is the model before training. Empty where nothing was scored.
        stopped: last step, if training stopped early; None if all steps were done.
    """

    criterion: str
    step: int
    scores: dict[int, Score]
    stopped: int | None = None

    @property
    def score(self) -> float:
        """Score of the checkpoint kept; NaN where nothing was scored."""
        return self.scores[self.step].value if self.scores else math.nan

    @property
    def gain(self) -> Difference | None:
        """The checkpoint kept against the model before training; None where nothing was scored."""
        return compare(self.scores[self.step], self.scores[0]) if self.scores else None

    @property
    def indistinguishable(self) -> list[int]:
        """Steps of the other checkpoints that are not distinguishable from the one kept."""
        kept = self.scores.get(self.step)
        return [
            step
            for step, score in sorted(self.scores.items())
            if kept and step not in (0, self.step) and compare(kept, score).verdict == "not distinguishable"
        ]

    @classmethod
    def read(cls, record: Path) -> Selection:
        """What the folder `training` of an adapted model says; scores with their replicates."""
        choice = json.loads((record / CHOICE).read_text(encoding="utf-8"))
        scores = {}
        if choice["scores"]:
            content = json.loads((record / SCORES).read_text(encoding="utf-8"))["scores"]
            scores = {int(step): Score.from_dict(score) for step, score in content.items()}
        return cls(choice["criterion"], choice["step"], scores, choice["stopped"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; the replicates of the scores are left to scores.json."""
        by_step = {
            key: {str(step): getattr(score, name) for step, score in self.scores.items()}
            for key, name in (("scores", "value"), ("draw_se", "draw_se"), ("text_se", "text_se"))
        }
        return {
            "criterion": self.criterion,
            "step": self.step,
            "score": self.score if self.scores else None,
            "gain": self.gain.to_dict() if self.gain else None,
            "indistinguishable": self.indistinguishable,
            **by_step,
            "stopped": self.stopped,
        }


@dataclass
class _AtWidth(Wrapper):
    """An embedder whose vectors are truncated."""

    encoder: Embedder
    width: int

    def encode(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        return self.encoder.encode(texts, truncate_dim=self.width, **options)


def scores_of_widths(
    scorer: Scorer | LastStep, embedder: Embedder, widths: Sequence[int]
) -> dict[int, Score]:
    """The development score of vectors truncated to each width, and of whole vectors; empty where nothing is scored."""
    if isinstance(scorer, LastStep) or not widths:
        return {}
    wide = sorted({*widths, embedder.dim})
    return {width: scorer(cast(Embedder, _AtWidth(embedder, width))) for width in wide}


class CheckpointScores:
    """The score of the model at each checkpoint, kept in a file: a resumed run decides by the same numbers.

    Attributes:
        scorer: the development score, or `LastStep`.
        patience: stop after so many checkpoints that are not better; None never stops.
        path: the file.
        by_step: step → score; step 0 is the model before training.
        seconds: time of the latest score; 0 before the first.
    """

    def __init__(self, scorer: Scorer | LastStep, patience: int | None, path: Path) -> None:
        self.scorer, self.patience, self.path = scorer, patience, path
        self.by_step: dict[int, Score] = {}
        self.seconds = 0.0

    def load(self) -> None:
        """Read the scores of an interrupted run, if it had any.

        Raises:
            RequestError: they are scores by another criterion.
        """
        if not self.path.exists():
            return
        content, criterion = json.loads(self.path.read_text(encoding="utf-8")), self.scorer.criterion
        if content["criterion"] != criterion:
            raise RequestError(
                f"resume=True: the checkpoints were scored by {content['criterion']}, not by {criterion}; repeat "
                "the settings of the interrupted run, or restart it with overwrite=True"
            )
        self.by_step = {int(step): Score.from_dict(score) for step, score in content["scores"].items()}

    def measure(self, embedder: Embedder) -> Score | None:
        """Score a model that is being trained; None where nothing is scored."""
        if isinstance(self.scorer, LastStep):
            return None
        model = embedder.backbone.model
        was_training, started = model.training, time.perf_counter()
        model.eval()
        backbone = embedder.backbone
        with backbone.attention(backbone.implementation):  # as it is loaded, whatever training computes with
            score = self.scorer(embedder)
        model.train(was_training)
        self.seconds = time.perf_counter() - started
        return score

    def save(self) -> None:
        """Write the file atomically."""
        content = {
            "criterion": self.scorer.criterion,
            "scores": {step: score.to_dict() for step, score in self.by_step.items()},
        }
        temporary = self.path.with_name(f".{self.path.name}.partial")
        temporary.write_text(json_text(content) + "\n", encoding="utf-8")
        temporary.replace(self.path)

    @property
    def stalled(self) -> bool:
        """Whether it is time to stop."""
        if self.patience is None:
            return False
        return (
            checkpoints_since_better([self.by_step[step] for step in sorted(self.by_step)]) >= self.patience
        )

    def select(self, checkpoints: Sequence[int], steps: int) -> Selection:
        """Choose the checkpoint with the highest score, the earliest of equal ones; the model before training is none.

        Args:
            checkpoints: their steps, in order.
            steps: planned number of steps.
        """
        last, step = checkpoints[-1], checkpoints[-1]
        if self.by_step:
            step = max(checkpoints, key=lambda step: (self.by_step[step].value, -step))
        return Selection(self.scorer.criterion, step, self.by_step, stopped=last if last < steps else None)


def checkpoints_since_better(scores: Sequence[Score]) -> int:
    """Number of scores since the last that was better than the one that was better before it.

    The first score is the first reference. A slow rise counts as soon as its sum is distinguishable.
    """
    reference, since = scores[0], 0
    for score in scores[1:]:
        if compare(score, reference).verdict == "better":
            reference, since = score, 0
        else:
            since += 1
    return since
