"""Short trainings of one model, with equal budgets, from each source of pairs: which source is worth it?

Source: the question of arXiv:2507.22729, Table 6.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lastword.comparison.sources import Source, write_sample
from lastword.config import require_same_settings, train_config
from lastword.console import say
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError
from lastword.evaluation import cluster_score
from lastword.training import train

Labelled = tuple[Sequence[str], Sequence[str]]
Trial = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes:
        trials: one for each source and seed: source, seed, pairs, scores (set → V-measure) and step.
        base: set → V-measure of the model before any training.
        settings: of all trainings.
    """

    trials: list[Trial]
    base: dict[str, float]
    settings: dict[str, Any]

    def mean_of(self, source: str) -> tuple[float, float]:
        """Mean over sets and seeds of a source, and the standard deviation over seeds."""
        means = [fmean(trial["scores"].values()) for trial in self.trials if trial["source"] == source]
        return fmean(means), stdev(means) if len(means) > 1 else 0.0

    @property
    def ranked(self) -> list[str]:
        """Sources, the best first."""
        names = list(dict.fromkeys(trial["source"] for trial in self.trials))
        return sorted(names, key=lambda name: -self.mean_of(name)[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {"settings": self.settings, "base": self.base, "trials": self.trials}


def compare_pairs(
    sources: Sequence[Source],
    development: Mapping[str, Labelled],
    out: str | Path,
    *,
    seeds: int = 3,
    pairs: int = 3000,
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> Comparison:
    """Train on each source with every seed, and score on development texts.

    All trainings have the same model, steps, batch and number of pairs (at most). Each is scored as it is
    after its last step: no source gets to choose a checkpoint on the texts that compare it.

    Args:
        sources: what is compared.
        development: name → (texts, labels); development texts, since choosing a source is a choice.
        out: folder for `comparison.json`; unfinished work lies in `OUT.partial`.
        seeds: trainings of each source; each draws its own sample of the pairs.
        pairs: most pairs of a training.
        resume: go on with an interrupted comparison of the same settings.
        overwrite: replace `out`.
        **settings: fields of `TrainConfig`, without `pairs` and `seed`.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise ExistingOutputError(f"{out} exists: give another place or --overwrite")
    if seeds < 1 or pairs < 2:
        raise RequestError(f"seeds={seeds}, pairs={pairs}: at least 1 and at least 2")
    resolved = train_config(settings).to_dict() | {"most_pairs": pairs}
    work = _opened(out, resolved, resume=resume, overwrite=overwrite)
    base = _kept(work / "base.json", lambda: _scores(_base(settings), development))
    trials = []
    for source in sources:
        for seed in range(seeds):
            place = work / f"{source.name.replace('/', '_')}-{seed}"
            trial = _kept(
                place.with_suffix(".json"), partial(_trial, source, seed, place, pairs, settings, development)
            )
            trials.append(trial)
            say(f"{source.name}, seed {seed}: {100 * fmean(trial['scores'].values()):.1f}")
    found = Comparison(trials, base, resolved)
    (work / "comparison.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n")
    if out.exists():
        shutil.rmtree(out)
    work.rename(out)
    return found


def _trial(
    source: Source,
    seed: int,
    place: Path,
    pairs: int,
    settings: dict[str, Any],
    development: Mapping[str, Labelled],
) -> Trial:
    """One training; the model is scored and thrown away."""
    sample, model = place.with_suffix(".parquet"), place
    count = write_sample(source, pairs, seed, sample)
    result = train(
        model, scorer=_LastStep(), resume=True, trackers="none",
        **{**settings, "pairs": [str(sample)], "seed": seed},
    )  # fmt: skip
    scores = _scores(Embedder.from_pretrained(model), development)
    shutil.rmtree(model)
    sample.unlink()
    return {
        "source": source.name,
        "seed": seed,
        "pairs": count,
        "step": result.selection.step,
        "scores": scores,
    }


class _LastStep:
    """Prefers each checkpoint to the one before, so that the last is kept."""

    criterion = "the last step"

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, embedder: Embedder) -> float:
        self._calls += 1
        return float(self._calls)


def _base(settings: dict[str, Any]) -> Embedder:
    config = train_config(settings)
    return Embedder.from_pretrained(config.model, template=config.template, pooling=config.pooling)


def _scores(embedder: Embedder, development: Mapping[str, Labelled]) -> dict[str, float]:
    return {
        name: round(cluster_score(embedder, texts, labels).score, 4)
        for name, (texts, labels) in development.items()
    }


def _kept(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do the work once; what it gave is read the next time."""
    if not path.exists():
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(json.dumps(work()) + "\n")
        temporary.replace(path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _opened(out: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool) -> Path:
    work = out.with_name(out.name + ".partial")
    begun = any(work.glob("*.json"))
    if begun and not (resume or overwrite):
        raise ExistingOutputError(
            f"{work} holds an interrupted comparison: go on with --resume or start over with --overwrite"
        )
    if begun and resume:
        require_same_settings(json.loads((work / "settings.json").read_text()), settings, "comparison")
        return work
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    return work
