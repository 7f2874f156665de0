"""The `lastword` group: its commands are imported when used, so that `--help` is quick."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import click

from lastword import console
from lastword.errors import LastwordError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
COMMANDS = {
    "demo": "adapt the bundled model on the bundled pairs and score it before and after",
    "pairs": "make positive pairs of texts: rewriting, translation, noise, crops, labels, import, dropout",
    "probe": "rank templates, poolings and layers of a model on your texts",
    "train": "adapt a decoder to embed, by contrastive training on pairs",
    "sweep": "train with many settings of a recipe and say which are worth it",
    "evaluate": "score a model on a file of texts, or on the tasks of MTEB",
    "explain": "show what models look at and how their vectors lie, checkpoints side by side",
    "reproduce": "measure tables of the paper again and judge their claims",
    "cache": "look at the vectors that are kept, and throw some away",
}


class _Group(click.Group):
    """A group whose commands live in modules of their name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"lastword.cli.{name}"), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Say which commands there are when one is unknown."""
        from lastword.errors import unknown_name

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(unknown_name("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn what may go wrong into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except LastwordError as error:
            _fail(str(error), error.exit_code)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            _fail("the disk is full (or a file may not grow): free some space; what was finished is kept", 1)
        except KeyboardInterrupt:
            _fail("stopped; what was finished is kept", 130)


def _fail(message: str, code: int) -> None:
    click.echo(f"lastword: {message}", err=True)
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lastword")
def main() -> None:
    """Turn a pretrained decoder-only language model into a text-embedding model."""
    console.show_messages()
