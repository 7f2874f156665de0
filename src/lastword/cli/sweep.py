"""`lastword sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import check_training
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.config import read_recipe
from lastword.errors import RequestError


@command(
    "lastword sweep mini --set temperature=0.05,0.1,0.2 --set rank=8,32 --output swept",
    "lastword sweep mini --set learning_rate=1e-5..1e-3 --trials 20 --dev labelled.csv:dev --output swept",
)
@click.argument(
    "recipe", help="mini, small, paper, or a TOML file of settings; its table [sweep] holds values to try",
)  # fmt: skip
@option(
    "Settings", "--set grid",
    "values to try for a setting of `lastword train`, in place of the recipe's; repeatable; with --trials also "
    "a range, KEY=LOW..HIGH",
    multiple=True, metavar="KEY=A,B,…",
)  # fmt: skip
@shared("--seeds", help="training runs of each combination")
@option(
    "Settings", "--trials", "draw N combinations at random  [default: try all]",
    type=click.IntRange(1, 100_000),
)  # fmt: skip
@option(
    "Settings", "--one-at-a-time", "try the recipe and each other value alone, instead of all combinations",
    is_flag=True,
)  # fmt: skip
@options.development("labelled texts that choose; repeatable  [default: the bundled ones]")
@shared("--encoding", "--delimiter")
@shared("--device")
@shared("--output", required=True)
@shared("--resume", "--overwrite", "--json")
def sweep(recipe: str, grid: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Train with many settings of a recipe, and compare them.

    Every combination is trained with every seed and scored on development texts, which also choose its
    checkpoint. The folder holds every trial, sweep.json and a picture. --resume continues an interrupted
    sweep and repeats nothing that was finished.
    """
    reading = {name: settings.pop(name) for name in ("encoding", "delimiter")}
    values = _values(grid) | {name: [value] for name, value in options.passed(reading).items()}
    check_training(read_recipe(recipe))
    from lastword.evaluation.development import BUNDLED_DEVELOPMENT
    from lastword.experiments import sweep as run
    from lastword.experiments.table import comparison_table

    development = options.read_sets(settings, BUNDLED_DEVELOPMENT, **reading)
    result = run(recipe, settings.pop("output"), values=values, development=development, **settings)
    print_result(result, as_json, comparison_table)


def _values(settings: Sequence[str]) -> dict[str, Any]:
    """KEY=A,B,… → the values of each key."""
    grid: dict[str, str] = {}
    for setting in settings:
        key, equals, values = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not values.strip():
            raise RequestError(f"--set {setting!r}: write KEY=VALUE,VALUE such as temperature=0.05,0.1")
        if key in grid:
            raise RequestError(f"--set {key} is repeated: write all its values in one")
        grid[key] = values
    return grid
