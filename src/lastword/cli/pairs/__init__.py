"""`lastword pairs`: commands that make pairs (generate, methods) and commands that use them (quality)."""

from __future__ import annotations

import click

from lastword.cli.command import Group
from lastword.cli.pairs import generate, methods, quality


@click.group(
    cls=Group,
    examples=(
        "lastword pairs noise notes.csv --text-column note --output pairs.parquet",
        "lastword pairs check pairs.parquet --report issues.html",
    ),
)
def pairs() -> None:
    """Make, check and compare positive pairs: two texts that mean the same.

    Every method writes anchor, positive, negative, source, method, seed and meta. It reads files of any size in
    constant memory, and --resume continues an interrupted run.
    """


for command in (generate.generate, *methods.COMMANDS, *quality.COMMANDS):
    pairs.add_command(command)
