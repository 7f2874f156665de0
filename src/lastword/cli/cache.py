"""`lastword cache`: the vectors that are cached between runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastword.cli.checks import FOLDER, Finite
from lastword.cli.command import Group, option
from lastword.cli.options import shared
from lastword.files.plain_json import json_text
from lastword.report.table import aligned

if TYPE_CHECKING:
    from lastword.cache import VectorFileInfo

_SELECTION = "Selection"
_folder = option("Cache", "--cache folder", "folder  [default: in the user's cache folder]", type=FOLDER)


@click.group(cls=Group, examples=("lastword cache info", "lastword cache prune --unused-days 30"))
def cache() -> None:
    """List and delete cached vectors.

    Each text is embedded once for each model and setting, and its vector is cached. Everything in the cache
    can be computed again.
    """


@cache.command(examples=("lastword cache info", "lastword cache info --json"))
@_folder
@shared("--json")
def info(folder: Path | None, as_json: bool) -> None:
    """List the cached vectors of each model, the most recently used first."""
    from lastword.cache import VectorCache

    opened = VectorCache(folder)
    files = opened.info()
    if as_json:
        click.echo(json_text({"folder": str(opened.folder), "models": [_facts(file) for file in files]}))
    else:
        click.echo(_table(files) if files else f"no vectors are cached in {opened.folder}")


@cache.command(
    examples=("lastword cache prune --unused-days 30", "lastword cache prune --max-mb 2000 --dry-run")
)
@option(_SELECTION, "--model", "delete the vectors of this model: its name, or its identity as info shows it")
@option(
    _SELECTION, "--unused-days", "delete vectors that were not used for X days",
    type=Finite(0, 36_500),
)  # fmt: skip
@option(
    _SELECTION, "--max-mb", "delete the least recently used vectors until at most X MB are left",
    type=Finite(0, 1e9),
)  # fmt: skip
@option(_SELECTION, "--dry-run", "only show what would be deleted", is_flag=True)
@_folder
@shared("--json")
def prune(folder: Path | None, as_json: bool, **conditions: Any) -> None:
    """Delete the vectors of some models, except those that another process uses."""
    from lastword.cache import VectorCache

    deleted = VectorCache(folder).prune(**conditions)
    if as_json:
        click.echo(json_text([_facts(file) for file in deleted]))
        return
    if deleted:
        click.echo(_table(deleted))
    verb = "would be deleted" if conditions["dry_run"] else "deleted"
    click.echo(f"{verb}: {sum(file.vectors for file in deleted):,} vectors, {_megabytes(deleted):.1f} MB")


def _facts(file: VectorFileInfo) -> dict[str, Any]:
    return asdict(file) | {"path": str(file.path)}


def _table(files: Sequence[VectorFileInfo]) -> str:
    rows = [("model", "identity …", "vectors", "dim", "MB", "last used")]
    for file in files:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.used))
        size = f"{file.bytes / 1e6:.1f}"
        rows.append((file.model, file.identity[-12:], f"{file.vectors:,}", f"{file.dim}", size, used))
    if len(files) > 1:
        rows.append(("", "", f"{sum(file.vectors for file in files):,}", "", f"{_megabytes(files):.1f}", ""))
    return aligned(rows, right=(2, 3, 4))


def _megabytes(files: Sequence[VectorFileInfo]) -> float:
    return sum(file.bytes for file in files) / 1e6
