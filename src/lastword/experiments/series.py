"""Trainings one after another, each done once whatever happens: what comparisons and sweeps are made of."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.encoder import TextEncoder
from lastword.evaluation import cluster_score
from lastword.evaluation.development import Development
from lastword.training import LastStep, Scorer, Variant, train
from lastword.uncertainty import Score

Trial = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What a series of trainings gave.

    Attributes:
        trials: one for each contestant and seed: the contestant's name (under the key that `subject` says),
            seed, step, and scores (set → V-measure; empty where the training diverged).
        base: set → V-measure of the model before any training.
        settings: of all trainings.
        subject: what is compared: "source", "settings" …
    """

    trials: list[Trial]
    base: dict[str, float]
    settings: dict[str, Any]
    subject: str = "source"

    def of(self, name: str) -> list[Trial]:
        """The trials of one contestant."""
        return [trial for trial in self.trials if trial[self.subject] == name]

    def means(self, name: str) -> list[float]:
        """Mean over the sets, for each seed of a contestant with which the training did not diverge."""
        return [fmean(trial["scores"].values()) for trial in self.of(name) if trial["scores"]]

    def mean_of(self, name: str) -> tuple[float, float]:
        """Mean over sets and seeds of a contestant (-inf without any score), and the standard deviation over seeds."""
        means = self.means(name) or [-math.inf]
        return fmean(means), stdev(means) if len(means) > 1 else 0.0

    @property
    def ranked(self) -> list[str]:
        """Contestants, the best first."""
        names = dict.fromkeys(trial[self.subject] for trial in self.trials)
        return sorted(names, key=lambda name: -self.mean_of(name)[0])

    def level_with_best(self, name: str) -> bool:
        """Whether the mean lies within the bands of both from the best one's."""
        (top, top_band), (mean, band) = self.mean_of(self.ranked[0]), self.mean_of(name)
        return top - mean <= top_band + band

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {"settings": self.settings, "base": self.base, "trials": self.trials}


def trained(
    place: Path,
    settings: dict[str, Any],
    development: Development,
    scorer: Scorer | LastStep | None = None,
    base_scores: dict[str, Score] | None = None,
    device: str | None = None,
    variant: Variant | None = None,
    also: Mapping[str, Callable[[Embedder], TextEncoder]] | None = None,
) -> Trial:
    """One training: the model is scored on the development texts and thrown away.

    Args:
        place: folder for the model; an interrupted training there is gone on with.
        settings: fields of `TrainConfig`.
        development: what it is scored on.
        scorer: what picks the checkpoint; None keeps the last step.
        base_scores: what it gave before training; see `train`.
        device: None takes the best there is.
        variant: a way of training that differs by more than settings; see `train`.
        also: other ways to score the same model.

    Returns:
        step that was kept, scores (set → V-measure), and under "also" the name of another way → scores.
    """
    if not place.exists():  # otherwise the series was killed between the training and its scores
        train(
            place, scorer=scorer or LastStep(), variant=variant, base_scores=base_scores, resume=True, trackers="none",
            device=device, **settings,
        )  # fmt: skip
    choice = json.loads((place / "training" / "choice.json").read_text())
    embedder = Embedder.from_pretrained(place, device=device)
    trial = {"step": choice["step"], "scores": scores_of(embedder, development)}
    if also:
        trial["also"] = {name: scores_of(encoder(embedder), development) for name, encoder in also.items()}
    shutil.rmtree(place)
    return trial


def before_training(
    settings: dict[str, Any], development: Development, device: str | None = None
) -> dict[str, float]:
    """Scores of the model as it is, set → V-measure."""
    config = train_config(settings)
    embedder = Embedder.from_pretrained(
        config.model, template=config.template, pooling=config.pooling, device=device
    )
    return scores_of(embedder, development)


def scores_of(encoder: TextEncoder, development: Development) -> dict[str, float]:
    """V-measure of each set."""
    return {
        name: round(cluster_score(encoder, texts, labels).value, 4)
        for name, (texts, labels) in development.items()
    }


def fingerprint(development: Development) -> dict[str, str]:
    """Name of each set → a hash of its texts and labels, so that a resumed series is scored on the same."""
    return {
        name: hashlib.sha256(json.dumps([list(texts), list(labels)]).encode()).hexdigest()[:16]
        for name, (texts, labels) in development.items()
    }
