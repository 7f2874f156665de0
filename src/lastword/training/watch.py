"""Development scores while a training runs: taken at each checkpoint, kept in a file, a reason to stop."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from lastword.embedding import Embedder
from lastword.embedding.adapters import load_adapter
from lastword.errors import RequestError
from lastword.training.select import LastStep, Measured, Scorer, Selection
from lastword.uncertainty import Score

SCORES = "scores.json"


class Watch:
    """Scores a model as its training goes on, and chooses among its checkpoints.

    A score is taken when a checkpoint is written, from the weights in the model, and written down beside
    it: a training that goes on after an interruption decides by the same numbers.

    Attributes:
        embedder: the model as it will be used.
        scorer: the development score, or `LastStep`.
        patience: stop after so many checkpoints without a rise; None never stops.
        scores: step → score and band; step 0 is the model before training.
    """

    def __init__(self, embedder: Embedder, scorer: Scorer | LastStep, patience: int | None) -> None:
        self.embedder, self.scorer, self.patience = embedder, scorer, patience
        self.scores: dict[int, Measured] = {}

    def measure(self) -> Measured | None:
        """Score the model as it is now; None where nothing is to be scored."""
        if isinstance(self.scorer, LastStep):
            return None
        backbone = self.embedder.backbone
        training = backbone.model.training
        backbone.model.eval()
        with backbone.attention("sdpa"):  # as it was loaded, whatever the training computes with
            measured = self.scorer(self.embedder)
        backbone.model.train(training)
        if isinstance(measured, Score):
            return measured.value, math.hypot(measured.draw_se, measured.text_se or 0.0)
        return measured

    @property
    def flat(self) -> bool:
        """Whether it is time to stop."""
        if self.patience is None:
            return False
        return checkpoints_without_rise([self.scores[step] for step in sorted(self.scores)]) >= self.patience

    def save(self, folder: Path) -> None:
        """Write the scores so far, at once."""
        if not self.scores:
            return
        content = {"criterion": self.scorer.criterion, "scores": self.scores}
        temporary = folder / f".{SCORES}.partial"
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(folder / SCORES)

    def load(self, folder: Path) -> None:
        """Read the scores of an interrupted run, if it had any.

        Raises:
            RequestError: they were scores of something else.
        """
        if not (folder / SCORES).exists():
            return
        content = json.loads((folder / SCORES).read_text())
        if content["criterion"] != self.scorer.criterion:
            raise RequestError(
                f"--resume: checkpoints were chosen by {content['criterion']} and are now by "
                f"{self.scorer.criterion}; repeat the settings of the interrupted run or start over with --overwrite"
            )
        self.scores = {int(step): (score, band) for step, (score, band) in content["scores"].items()}

    def choose(self, checkpoints: Sequence[tuple[int, Path]], steps: int) -> Selection:
        """Leave the best checkpoint in the model, its adapter swapped in place.

        Args:
            checkpoints: (step, folder) in order of steps; the model before training is no candidate.
            steps: how many steps the training was to have.

        Raises:
            WorkError: the adapter of the best checkpoint does not load.
        """
        last = checkpoints[-1][0]
        if isinstance(self.scorer, LastStep):
            return Selection(self.scorer.criterion, last, float("nan"), {})
        best = max((step for step, _ in checkpoints), key=lambda step: (self.scores[step][0], -step))
        load_adapter(self.embedder.backbone.model, dict(checkpoints)[best])
        return Selection(
            self.scorer.criterion,
            best,
            self.scores[best][0],
            {step: score for step, (score, _) in self.scores.items()},
            {step: band for step, (_, band) in self.scores.items()},
            stopped=last if last < steps else None,
        )


def checkpoints_without_rise(measured: Sequence[Measured]) -> int:
    """How many scores have come since the last one that rose beyond its noise band.

    A score rises if it lies more than its band above the score of the last rise (the first one, to begin
    with), so a slow climb counts as soon as its sum is more than noise.

    >>> checkpoints_without_rise([(0.30, 0.02), (0.31, 0.02), (0.33, 0.02), (0.34, 0.02)])
    1
    """
    reference, since = measured[0][0], 0
    for score, band in measured[1:]:
        if score > reference + band:
            reference, since = score, 0
        else:
            since += 1
    return since
