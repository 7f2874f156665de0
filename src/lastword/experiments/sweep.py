"""Trainings over settings of a recipe: which settings are worth it?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lastword.config import read_recipe, read_sweep, train_config
from lastword.console import info, warn
from lastword.errors import DivergenceError, RequestError
from lastword.evaluation import ClusterScorer
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, Development, read_development
from lastword.experiments.grid import Choice, Point, changes, label, points, read_grid
from lastword.experiments.picture import write_picture
from lastword.experiments.series import Comparison, Trial, before_training, fingerprint, trained
from lastword.files.run_folder import RunFolder, write_json
from lastword.uncertainty import Score


def sweep(
    recipe: str | Path,
    out: str | Path,
    *,
    grid: Mapping[str, Any] | None = None,
    development: Development | Sequence[str] = BUNDLED_DEVELOPMENT,
    seeds: int = 3,
    trials: int | None = None,
    one_at_a_time: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
) -> Comparison:
    """Train with many settings of a recipe and every seed; score on development texts.

    Each training is what `train` does with such settings: its checkpoint is chosen by the development
    texts. So the score of the best is a little too good to be true; report another one, on test texts.

    Args:
        recipe: "mini", "paper" or a TOML file; its table `[sweep]`, if it has one, says what to try.
        out: folder for `sweep.json` and `sweep.svg`; unfinished work lies in `OUT.partial`.
        grid: setting → values to try, as a list or as a string "0.05,0.1"; goes before the table.
            With `trials`, "1e-5..1e-3" draws evenly from the logarithms. One value replaces the recipe's.
        development: labelled texts, as files with a split ("tickets.csv:dev") or as name → (texts, labels).
        seeds: trainings of each combination.
        trials: draw so many combinations at random; None tries all.
        one_at_a_time: instead of all combinations, the recipe as it is and each other value alone.
        resume: go on with an interrupted sweep of the same recipe and settings.
        overwrite: replace `out`.
        device: None takes the best there is.

    Returns:
        The trials, the scores before training (with the recipe's own settings), mean and band of each
        combination.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 1:
        raise RequestError(f"seeds={seeds}: give 1 or more")
    settings, choices = _asked(recipe, grid or {})
    if one_at_a_time and trials is not None:
        raise RequestError("one_at_a_time and trials: choose one, a value at a time is not drawn")
    own = train_config(settings).to_dict()
    tried = changes(choices, own) if one_at_a_time else points(choices, trials)
    for point in tried:  # what cannot be is said before the first training
        train_config({**settings, **point})
    sets = development if isinstance(development, Mapping) else read_development(development)
    resolved = {
        **own,
        "seeds": seeds,
        "sweep": [{"name": label(point, choices), **point} for point in tried],
        "development": fingerprint(sets),
    }
    series = RunFolder(Path(out), "sweep", resume, overwrite)
    with series.open(resolved):
        base = series.once("base", lambda: before_training(settings, sets, device))
        found, scorer, base_scores = [], ClusterScorer(sets), dict[str, Score]()
        for number, point in enumerate(tried):
            for seed in range(seeds):
                place = series.partial / f"trial-{number:03d}-{seed}"
                run = {**settings, **point, "seed": seed}
                training = partial(trained, place, run, sets, scorer, base_scores, device)
                work = partial(_trial, label(point, choices), seed, place, training)
                found.append(series.once(place.name, work))
                if found[-1]["scores"]:
                    score = 100 * fmean(found[-1]["scores"].values())
                    info(f"{label(point, choices)}, seed {seed}: {score:.1f}")
        result = Comparison(found, base, resolved, subject="settings")
        write_picture(series.partial / "sweep.svg", result)
        write_json(series.partial / "sweep.json", result.to_dict())
        series.finish(series.partial)
    return result


def _asked(recipe: str | Path, grid: Mapping[str, Any]) -> tuple[Point, dict[str, Choice]]:
    """The settings that are the same in all trainings, and the choices for the others."""
    settings = {key: value for key, value in read_recipe(recipe).items() if key != "seed"}
    choices = read_grid({**read_sweep(recipe), **grid})
    same = {key: one[0] for key, one in choices.items() if isinstance(one, tuple) and len(one) == 1}
    return settings | same, {key: choice for key, choice in choices.items() if key not in same}


def _trial(name: str, seed: int, place: Path, training: Callable[[], Trial]) -> Trial:
    """One training; settings that make it diverge are a finding and not the end of the sweep."""
    facts = {"settings": name, "seed": seed}
    try:
        return facts | training()
    except DivergenceError as error:
        warn(f"{name}, seed {seed}: {error}")
        shutil.rmtree(place.with_name(f"{place.name}.partial"))
        return facts | {"step": None, "scores": {}, "diverged": str(error)}
