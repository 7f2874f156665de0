"""What each choice of the recipe `small` is worth: training runs of SmolLM2-135M with one setting changed at a time.

    python tools/results/recipe_small.py                          # writes results/recipe_small.json; resumable
    python tools/results/recipe_small.py --variants recipe crops  # only these; the others keep their results

A run has half the steps of the recipe where its name does not say otherwise. The scores are those of development
texts: the bundled development splits, and parts of public sets that the sample scored by `real_texts.py` leaves out.
A run keeps its last step. Variants may be added later: a run that has a result is not repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pair_sources import development, write_comparison, write_sources
from real_texts import ROOT

from lastword import console
from lastword.config import read_recipe, train_config
from lastword.experiments.series import PlannedRun, run_series
from lastword.files.run_folder import RunFolder

RESULTS = ROOT / "results" / "recipe_small.json"
STEPS, DEVELOPMENT_TEXTS = 30, 300
PAIRS = {
    "crops": ["crop"],
    "rewritings and crops": ["rewritings", "crop"],
    "rewritings, crops, titles and leads": ["rewritings", "crop", "title_lead"],
}
"""Variant → sources of pairs, as `pair_sources.py` writes them; the recipe has the rewritings."""
CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {},
    "all 30 layers": {"layer": None},
    "cut after layer 24": {"layer": 24},
    "no template, mean": {"template": "none", "pooling": "mean"},
    "template sum": {"template": "sum"},
    "adapters in the upper 8 layers": {"adapt_layers": 8},
    "temperature 0.1": {"temperature": 0.1},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "learning rate 1e-4": {"learning_rate": 1e-4},
    "96 pairs a step": {"batch_pairs": 96},
    "rank 8": {"rank": 8, "alpha": 8.0},
    "60 steps": {"steps": 60},
}
"""Variant → settings that differ from the recipe."""


def short_recipe() -> dict[str, Any]:
    """The recipe with fewer steps, in the precision that every CPU has."""
    return read_recipe("small") | {"steps": STEPS, "dtype": "float32"}


def planned(names: list[str], work: Path, seeds: int) -> list[PlannedRun]:
    """The training runs, one seed of every variant after the other."""
    recipe = {key: value for key, value in short_recipe().items() if key != "seed"}
    variants: dict[str, Mapping[str, Any]] = {name: {**recipe, **change} for name, change in CHANGES.items()}
    for name, sources in PAIRS.items():
        variants[name] = {**recipe, "pairs": [str(work / f"{source}.parquet") for source in sources]}
    return [PlannedRun(name, seed, variants[name]) for seed in range(seeds) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "recipe_small")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--variants", nargs="+", default=[*CHANGES, *PAIRS], choices=[*CHANGES, *PAIRS])
    args = parser.parse_args()
    console.show_messages()
    args.work.mkdir(parents=True, exist_ok=True)
    write_sources(args.work)
    folder = RunFolder(args.work / "compared", "comparison", resume=True)
    if folder.output.exists():  # the runs of an earlier call
        folder.output.rename(folder.partial)
    settings = short_recipe()
    comparison = run_series(
        folder, settings, lambda _: planned(args.variants, args.work, args.seeds), development(DEVELOPMENT_TEXTS),
        subject="setting", record=train_config(settings).to_dict(), files=[settings["model"]],
    )  # fmt: skip
    write_comparison(RESULTS, comparison)


if __name__ == "__main__":
    main()
