"""`lastword pairs`: one command for each way of making pairs, and some to judge them."""

import click

from lastword.cli.pairs import judging, making


@click.group()
def pairs() -> None:
    """Make positive pairs: two texts that mean the same.

    Every way writes anchor, positive, negative, source, method, seed and meta, works through files of any
    size in constant memory, and goes on after an interruption with --resume.
    """


for command in (*making.COMMANDS, *judging.COMMANDS):
    pairs.add_command(command)
