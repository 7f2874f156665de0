"""`lastword sweep`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lastword.cli.options import development_options, read_sets
from lastword.errors import RequestError


@click.command()
@click.argument("recipe")
@click.option("--out", type=Path, required=True, help="folder to write")
@click.option(
    "--set", "given", multiple=True, metavar="KEY=A,B,…",
    help="values to try for a setting of `lastword train`, before the recipe's [sweep]; repeatable; "
    "one value replaces the recipe's; with --trials also a range, KEY=LOW..HIGH",
)  # fmt: skip
@click.option("--seeds", default=3, show_default=True, help="trainings of each combination")
@click.option("--trials", type=int, help="draw so many combinations at random; all by default")
@click.option(
    "--one-at-a-time", is_flag=True, help="instead of all combinations, the recipe and each other value alone"
)
@development_options("that choose; the bundled ones by default")
@click.option("--resume", is_flag=True, help="go on with an interrupted sweep of the same recipe")
@click.option("--overwrite", is_flag=True, help="replace the output folder")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def sweep(
    recipe: str,
    out: Path,
    given: tuple[str, ...],
    seeds: int,
    trials: int | None,
    one_at_a_time: bool,
    dev: tuple[str, ...],
    dev_text_column: str,
    dev_label_column: str,
    dev_split: str | None,
    resume: bool,
    overwrite: bool,
    device: str | None,
    as_json: bool,
) -> None:
    """Train with many settings of a recipe and say which are worth it.

    \b
    lastword sweep mini --set temperature=0.05,0.1,0.2 --set rank=8,32 --out swept
    lastword sweep mini --set rank=4,16,64 --set batch_pairs=20,40,80 --one-at-a-time --out swept
    lastword sweep my.toml --set learning_rate=1e-5..1e-3 --trials 20 --dev tickets.csv:dev --out swept

    Every combination is trained with every seed and scored on development texts, which also choose its
    checkpoint. The folder holds every trial, sweep.json and a picture. Interrupted in any way, it goes on
    with --resume and repeats nothing that was finished.
    """
    from lastword.evaluation.development import BUNDLED_DEVELOPMENT
    from lastword.experiments import sweep as run
    from lastword.experiments.table import comparison_table

    found = run(
        recipe,
        out,
        values=_grid(given),
        development=read_sets(dev or BUNDLED_DEVELOPMENT, dev_text_column, dev_label_column, dev_split),
        seeds=seeds,
        trials=trials,
        one_at_a_time=one_at_a_time,
        resume=resume,
        overwrite=overwrite,
        device=device,
    )
    click.echo(json.dumps(found.to_dict()) if as_json else comparison_table(found))


def _grid(given: tuple[str, ...]) -> dict[str, str]:
    grid: dict[str, str] = {}
    for one in given:
        key, equals, values = one.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not values.strip():
            raise RequestError(f"--set {one!r}: write KEY=VALUE,VALUE such as temperature=0.05,0.1")
        if key in grid:
            raise RequestError(f"--set {key} stands there twice: give all its values at once")
        grid[key] = values
    return grid
