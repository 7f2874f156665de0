"""Training runs over the settings of a recipe: which settings are better?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lastword.arguments import as_path
from lastword.config import read_recipe, read_sweep, train_config
from lastword.errors import RequestError
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, Development, read_development
from lastword.experiments.combinations import (
    Candidates,
    Combination,
    combinations,
    label,
    read_values,
    single_changes,
)
from lastword.experiments.comparison import Comparison
from lastword.files.run_folder import RunFolder
from lastword.training.settings import check_settings


def sweep(
    recipe: str | Path,
    output: str | Path,
    *,
    values: Mapping[str, Any] | None = None,
    development: Development | Sequence[str] = BUNDLED_DEVELOPMENT,
    seeds: int = 3,
    trials: int | None = None,
    one_at_a_time: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
) -> Comparison:
    """Train with many settings of a recipe and several seeds, and score on development texts.

    Each run is what `train` does with its settings, and its checkpoint is chosen by the development texts.
    So the score of the best settings is optimistic: report another one, on test texts.

    Args:
        recipe: "mini", "small", "paper" or a TOML file; its table `[sweep]`, if there is one, has values to try.
        output: folder for `sweep.json` and `sweep.svg`; unfinished work is in `OUTPUT.partial`.
        values: setting → values to try, as a list or as a string "0.05,0.1"; replaces those of the table.
            With `trials`, "1e-5..1e-3" draws uniformly in the logarithm. A single value replaces the recipe's.
        development: labelled texts, as files with a split ("labelled.csv:dev") or as name → (texts, labels).
        seeds: training runs of each combination.
        trials: draw this many combinations at random; None tries all.
        one_at_a_time: instead of all combinations, the recipe as it is and each other value alone.
        resume: continue an interrupted sweep of the same recipe and settings.
        overwrite: replace `output`.
        device: None is the best available one.

    Returns:
        The runs, the scores before training (with the recipe's own settings), and which combinations are
        distinguishable from the best.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 1:
        raise RequestError(f"seeds={seeds}: give 1 or more")
    if one_at_a_time and trials is not None:
        raise RequestError("one_at_a_time and trials: choose one, since single values are not drawn")
    settings, candidates = _read(recipe, values or {})
    resolved = train_config(settings).to_dict()
    tried = single_changes(candidates, resolved) if one_at_a_time else combinations(candidates, trials)
    for combination in tried:
        check_settings(train_config({**settings, **combination}))  # before the first run
    folder = RunFolder(as_path("output", output), "sweep", resume, overwrite)
    folder.check(recipe, list(resolved.values()))
    sets = development if isinstance(development, Mapping) else read_development(development)

    # Importing these imports torch: a wrong request is refused without it.
    from lastword.evaluation import ClusterScorer
    from lastword.experiments.series import PlannedRun, run_series

    planned = [
        PlannedRun(label(combination, candidates), seed, {**settings, **combination})
        for combination in tried
        for seed in range(seeds)
    ]
    configs = [train_config(dict(run.settings)) for run in planned]
    files = dict.fromkeys(name for config in configs for name in (config.model, *config.pairs))
    record = {
        **resolved,
        "seeds": seeds,
        "sweep": [{"name": label(combination, candidates), **combination} for combination in tried],
    }
    return run_series(
        folder, settings, lambda _: planned, sets, subject="settings", record=record, files=list(files),
        scorer=ClusterScorer(sets), device=device,
    )  # fmt: skip


def _read(recipe: str | Path, values: Mapping[str, Any]) -> tuple[Combination, dict[str, Candidates]]:
    """The settings that are the same in all runs, and the candidates for the others."""
    settings = {key: value for key, value in read_recipe(recipe).items() if key != "seed"}
    candidates = read_values({**read_sweep(recipe), **values})
    fixed = {key: one[0] for key, one in candidates.items() if isinstance(one, tuple) and len(one) == 1}
    return settings | fixed, {key: values for key, values in candidates.items() if key not in fixed}
