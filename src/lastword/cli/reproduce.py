"""`lastword reproduce`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option(
    "--out", type=Path, default=Path("lastword-reproduction"), show_default=True, help="folder for the report"
)
@click.option(
    "--scale",
    default="mini",
    show_default=True,
    help="mini: the bundled model; paper: the paper's models and tasks",
)
@click.option(
    "--model", "models", multiple=True, help="another model in place of the scale's; may be repeated"
)
@click.option("--data-dir", type=Path, help="folder of public texts and pairs")
@click.option(
    "--pairs",
    multiple=True,
    metavar="NAME=FILE",
    help="your own pairs for one of the paper's sources; may be repeated",
)
@click.option(
    "--peer", "peers", multiple=True, default=["tfidf"], help="a model that table8 puts beside ours"
)
@click.option("--seeds", type=int, help="trainings of each row")
@click.option("--max-texts", type=int, help="score a fixed sample of at most so many texts of a set")
@click.option("--resume", is_flag=True, help="go on with an interrupted reproduction")
@click.option("--overwrite", is_flag=True, help="replace what is there")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def reproduce(
    tables: tuple[str, ...], pairs: tuple[str, ...], out: Path, as_json: bool, **settings: Any
) -> None:
    """Measure tables of arXiv:2507.22729 again and judge their claims.

    \b
    lastword reproduce table4                            # the bundled model, a few minutes
    lastword reproduce all --data-dir DATA --out report
    lastword reproduce table6 --scale paper --pairs nli=nli.parquet --pairs wiki-prompt=rewritten.parquet

    TABLE is table3 to table10, figure1, defects (what the defects of the paper's code cost), or all. A claim
    holds when the difference is more than twice its standard deviation.
    """
    from lastword.errors import RequestError
    from lastword.paper import reproduce as run

    given = {}
    for one in pairs:
        name, equals, file = one.partition("=")
        if not equals or not file:
            raise RequestError(f"--pairs {one}: write NAME=FILE, such as nli=pairs.parquet")
        given[name] = Path(file)
    result = run(tables, out, pairs=given, **settings)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
        return
    click.echo((out / "report.md").read_text(encoding="utf-8").rstrip())
    click.echo(f"\nwritten: {out / 'report.md'}, cells.csv, reproduction.json")
