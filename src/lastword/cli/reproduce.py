"""`lastword reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import FOLDER, Choice, check_columns
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.errors import RequestError
from lastword.files.sources import TableFile

TABLES = (
    "table3", "table4", "layers", *(f"table{number}" for number in range(5, 11)), "figure1", "recipe", "defects",
    "all",
)  # fmt: skip


@command(
    "lastword reproduce table4 layers --scale small --data-dir DATA --output small",
    "lastword reproduce table6 --scale paper --pairs nli=nli.parquet --data-dir DATA",
)
@click.argument(
    "tables", nargs=-1, required=True, type=Choice("table", TABLES), metavar="TABLE...",
    help="table3 to table10, figure1, layers (table4 by layer), recipe (the paper's own), defects (of the paper's "
    "code), or all of the scale's",
)  # fmt: skip
@option(
    "Runs", "--scale", "mini: the bundled model; small: SmolLM2-135M; paper: the paper's models and tasks",
    default="mini", type=Choice("scale", ("mini", "small", "paper")),
)  # fmt: skip
@option(
    "Runs", "--model models", "another model in place of the scale's; repeatable", multiple=True,
    type=options.TYPES["model"],
)  # fmt: skip
@option(
    "Runs", "--size sizes", "a further model in table5, which compares sizes; repeatable", multiple=True,
    type=options.TYPES["model"],
)  # fmt: skip
@option(
    "Runs", "--layers", "hidden states of the page layers, such as 28,30  [default: the upper third]",
    metavar="A,B,…",
)  # fmt: skip
@option(
    "Runs", "--peer peers", "a model to compare with in table8; repeatable", multiple=True,
    default=["tfidf"], type=options.ENCODER,
)  # fmt: skip
@shared("--seeds", help="training runs of each row  [default: the scale's]", default=None)
@shared("--max-texts", help="score a fixed sample of at most N texts of each set  [default: the scale's]")
@option("Texts", "--data-dir", "folder of public texts and pairs", type=FOLDER)
@option(
    "Texts", "--pairs", "your own pairs for one of the paper's sources; repeatable", multiple=True,
    metavar="NAME=FILE",
)  # fmt: skip
@shared("--encoding", "--delimiter", needs="pairs")
@shared("--dtype", "--device")
@shared("--output", help="folder for the report", default=Path("lastword-reproduction"))
@shared("--resume", help="continue an interrupted run, or add tables or layers to a finished report")
@shared("--overwrite", "--json")
def reproduce(
    tables: tuple[str, ...], pairs: tuple[str, ...], output: Path, as_json: bool, **settings: Any
) -> None:
    """Measure tables of arXiv:2507.22729 again and judge their claims.

    A claim holds when the difference is better than chance by a paired 95 % interval.
    """
    reading = {name: settings.pop(name) for name in ("encoding", "delimiter")}
    files = dict(_named_file(pair, **reading) for pair in pairs)
    from lastword.paper.run import reproduce as run

    result = run(tables, output, pairs=files, **settings, **options.passed(reading))
    print_result(result, as_json, lambda _: (output / "report.md").read_text(encoding="utf-8").rstrip())
    click.echo(f"written: {output / 'report.md'}, cells.csv, reproduction.json", err=True)


def _named_file(pair: str, encoding: str | None, delimiter: str | None) -> tuple[str, Path]:
    """NAME=FILE taken apart; the file must hold pairs."""
    name, _, file = pair.partition("=")
    if not name or not file:
        raise RequestError(f"--pairs {pair}: write NAME=FILE, such as nli=pairs.parquet")
    source = TableFile(file, encoding, delimiter)
    check_columns(source, ["anchor", "positive"])
    return name, Path(source)
