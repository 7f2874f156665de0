"""`lastword compare-strategies`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import check_training
from lastword.cli.command import command, option, print_result
from lastword.cli.options import passed, shared
from lastword.config import TrainConfig, read_recipe

_STRATEGIES = "Strategies"
GROUPS = ("prompt", "pooling", "layer", "attention", "training", "data", "vectors")


@command(
    "lastword compare-strategies mini --output compared",
    "lastword compare-strategies mini --strategy prompt --strategy pooling --dev labelled.csv:dev --output compared",
)
@click.argument(
    "recipe", help="mini, small, paper, or a TOML file of settings: the model, the base and the budget"
)
@option(
    _STRATEGIES, "--strategy strategies",
    f"a strategy or a group: {', '.join(GROUPS)}; repeatable  [default: all]", multiple=True, metavar="NAME",
)  # fmt: skip
@option(_STRATEGIES, "--catalogue", "TOML file of strategies in place of those of lastword", metavar="FILE")
@options.development("labelled texts to score on; repeatable  [default: the bundled ones]")
@options.settings(
    TrainConfig, {options.MODEL: ["model"], options.TRAINING: ["pairs", "steps", "batch_pairs"]}
)
@shared("--encoding", "--delimiter")
@shared("--seeds", help="training runs of each strategy that is trained")
@shared("--device")
@shared("--output", required=True)
@shared("--resume", "--overwrite", "--json")
def compare_strategies(recipe: str, as_json: bool, **settings: Any) -> None:
    """Compare ways to make a decoder an embedder, on one model and the same texts.

    Each strategy changes one thing of the recipe and is compared with it: before training where the strategy needs
    none, else after it, with the same steps and batch. Prints the differences with their 95 % intervals, the time
    for a text and the peak memory.
    --resume continues an interrupted comparison and repeats nothing that was finished.
    """
    from lastword.experiments.catalogue import chosen, read_strategies

    chosen(read_strategies(settings["catalogue"]), settings["strategies"])
    reading = {name: settings.pop(name) for name in ("encoding", "delimiter")}
    training = {name: settings.pop(name) for name in ("model", "pairs", "steps", "batch_pairs")} | reading
    check_training({**read_recipe(recipe), **passed(training)})
    from lastword.evaluation.development import BUNDLED_DEVELOPMENT
    from lastword.experiments.strategies import compare_strategies as run
    from lastword.experiments.strategy_table import strategy_table

    development = options.read_sets(settings, BUNDLED_DEVELOPMENT, **reading)
    result = run(recipe, settings.pop("output"), development=development, **settings, **passed(training))
    print_result(result, as_json, strategy_table)
