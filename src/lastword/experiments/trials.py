"""Short trainings of one model, with equal budgets, from each source of pairs: which source is worth it?

Source: the question of arXiv:2507.22729, Table 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lastword.config import TrainConfig, train_config
from lastword.console import info
from lastword.errors import RequestError
from lastword.evaluation.development import Development
from lastword.experiments.picture import write_picture
from lastword.experiments.series import Comparison, Trial, before_training, fingerprint, trained
from lastword.experiments.sources import Source, write_sample
from lastword.files.run_folder import RunFolder, write_json

STEPS = 60  # fewer hardly tell sources apart: see the two means in docs/reference/pairs.md


def enough_steps(recipe: Mapping[str, Any]) -> int:
    """The steps of a recipe, or `STEPS` if it has fewer."""
    own: int = recipe.get("steps", TrainConfig.steps)
    return max(STEPS, own)


def compare_pairs(
    sources: Sequence[Source],
    development: Development,
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
        out: folder for `comparison.json` and `comparison.svg`; unfinished work lies in `OUT.partial`.
        seeds: trainings of each source; each draws its own sample of the pairs.
        pairs: most pairs of a training.
        resume: go on with an interrupted comparison of the same settings.
        overwrite: replace `out`.
        **settings: fields of `TrainConfig`, without `pairs` and `seed`.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 1 or pairs < 2:
        raise RequestError(f"seeds={seeds}, pairs={pairs}: at least 1 and at least 2")
    resolved = train_config(settings).to_dict() | {
        "most_pairs": pairs,
        "development": fingerprint(development),
    }
    series = RunFolder(Path(out), "comparison", resume, overwrite)
    with series.open(resolved):
        base = series.once("base", lambda: before_training(settings, development))
        trials = []
        for source in sources:
            for seed in range(seeds):
                place = series.partial / f"{source.name.replace('/', '_')}-{seed}"
                work = partial(_trial, source, seed, place, pairs, settings, development)
                trials.append(series.once(place.name, work))
                info(f"{source.name}, seed {seed}: {100 * fmean(trials[-1]['scores'].values()):.1f}")
        found = Comparison(trials, base, resolved)
        write_picture(series.partial / "comparison.svg", found)
        write_json(series.partial / "comparison.json", found.to_dict())
        series.finish(series.partial)
    return found


def _trial(
    source: Source,
    seed: int,
    place: Path,
    pairs: int,
    settings: dict[str, Any],
    development: Development,
) -> Trial:
    sample = place.with_name(f"{place.name}.parquet")
    count = write_sample(source, pairs, seed, sample)
    trial = trained(place, {**settings, "pairs": [str(sample)], "seed": seed}, development)
    sample.unlink()
    return {"source": source.name, "seed": seed, "pairs": count, **trial}
