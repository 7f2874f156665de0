"""`lastword cache`: the vectors that are kept between runs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lastword.cache import VectorFileInfo

_FOLDER = click.option("--cache", "folder", type=Path, help="folder; the user's cache folder by default")
_JSON = click.option("--json", "as_json", is_flag=True, help="print the result as JSON")


@click.group()
def cache() -> None:
    """Look at the vectors that are kept, and throw some away.

    A benchmark embeds each text once for each model and setting and keeps the vector. Everything in the
    cache can be computed again.
    """


@cache.command()
@_FOLDER
@_JSON
def info(folder: Path | None, as_json: bool) -> None:
    """List what is kept for each model, the one used last first."""
    from lastword.cache import VectorCache

    opened = VectorCache(folder)
    shelves = opened.info()
    if as_json:
        click.echo(json.dumps({"folder": str(opened.folder), "models": [_facts(one) for one in shelves]}))
        return
    click.echo(_table(shelves) if shelves else f"no vectors are kept in {opened.folder}")


@cache.command()
@click.option("--model", help="delete the vectors of this model: its name, or its identity as info shows it")
@click.option("--unused-days", type=float, help="delete what nobody has used for so many days")
@click.option("--max-mb", type=float, help="delete the longest unused until at most so many MB are left")
@click.option("--dry-run", is_flag=True, help="only say what would be deleted")
@_FOLDER
@_JSON
def prune(folder: Path | None, as_json: bool, **conditions: Any) -> None:
    """Delete the vectors of some models; what another process has open stays.

    \b
    lastword cache prune --unused-days 30
    lastword cache prune --max-mb 2000 --dry-run
    """
    from lastword.cache import VectorCache

    gone = VectorCache(folder).prune(**conditions)
    if as_json:
        click.echo(json.dumps([_facts(one) for one in gone]))
        return
    if gone:
        click.echo(_table(gone))
    word = "would be deleted" if conditions["dry_run"] else "deleted"
    click.echo(f"{word}: {sum(one.vectors for one in gone):,} vectors, {_mb(gone):.1f} MB")


def _facts(one: VectorFileInfo) -> dict[str, Any]:
    return asdict(one) | {"path": str(one.path)}


def _table(shelves: Sequence[VectorFileInfo]) -> str:
    head = ("model", "identity …", "vectors", "dim", "MB", "last used")
    rows = [
        (
            one.model,
            one.identity[-12:],
            f"{one.vectors:,}",
            f"{one.dim}",
            f"{one.bytes / 1e6:.1f}",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used)),
        )
        for one in shelves
    ]
    total = ("", "", f"{sum(one.vectors for one in shelves):,}", "", f"{_mb(shelves):.1f}", "")
    lines = [head, *rows, *([total] if len(rows) > 1 else [])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _mb(shelves: Sequence[VectorFileInfo]) -> float:
    return sum(one.bytes for one in shelves) / 1e6
