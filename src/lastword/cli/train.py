"""`lastword train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.cli import options
from lastword.cli.command import Command, option, print_result
from lastword.config import TrainConfig, read_recipe, train_config

GROUPS = {
    "Model": ("model", "template", "pooling", "max_tokens"),
    "Pairs": ("pairs", "noise"),
    "Training": (),
    "Adapter": ("rank", "alpha", "dropout", "projections"),
    "Memory": ("dtype", "quantize", "batch_tokens", "graph_gib"),
}


@click.command(
    cls=Command,
    examples=(
        "lastword train --model mini --pairs pairs.parquet --output adapted",
        "lastword train --recipe paper --model Qwen/Qwen3-0.6B --pairs pairs.parquet --output adapted",
    ),
)
@option(
    "--recipe", group="Model", metavar="NAME", help="mini, paper, or a TOML file of settings; flags override it"
)
@options.settings(TrainConfig, GROUPS)
@option("--trackers", group="Training", metavar="NAME", help="an experiment tracker of accelerate, or none")
@options.development("labelled texts that choose the checkpoint; by default a tenth of the pairs is held out for it")
@options.drop_empty
@options.device
@options.output("folder to write", required=True)
@options.resume
@options.overwrite
@options.as_json
def train(
    recipe: str | None,
    dev: tuple[str, ...],
    text_column: str,
    label_column: str,
    split: str | None,
    drop_empty: bool,
    output: Path,
    resume: bool,
    overwrite: bool,
    device: str | None,
    trackers: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Adapt a decoder to embed, by contrastive LoRA training on pairs.

    Pairs are Parquet, JSON lines, CSV or TSV with the columns anchor, positive and perhaps negative.
    The folder loads in sentence-transformers as it is.
    """
    values = {**(read_recipe(recipe) if recipe else {}), **passed(flags)}
    check_training(values)
    sets = read_sets(dev, text_column, label_column, split, drop_empty=drop_empty)
    load_libraries(*options.TRAINING_LIBRARIES)
    from lastword.evaluation.development import ClusterScorer
    from lastword.training import train as run

    result = run(
        output,
        scorer=ClusterScorer(sets) if sets else None,
        resume=resume,
        overwrite=overwrite,
        drop_empty=drop_empty,
        device=device,
        trackers=trackers,
        **values,
    )
    print_result(result, as_json)
