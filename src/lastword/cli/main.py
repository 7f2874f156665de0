"""The `lastword` group: its commands are imported when used, so that help is quick."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from lastword.cli.command import Group
from lastword.errors import LastwordError

COMMANDS = {
    "demo": "Adapt a model on the bundled pairs, and score it before and after.",
    "pairs": "Make, check and compare positive pairs: two texts that mean the same.",
    "probe": "Find out which template, pooling and layer of a model suit your texts.",
    "train": "Adapt a decoder to embed, by contrastive LoRA training on pairs.",
    "sweep": "Train with many settings of a recipe, and compare them.",
    "compare-strategies": "Compare ways to make a decoder an embedder, on one model and the same texts.",
    "embed": "Embed the texts of files of any size, and write vectors and rows to a folder.",
    "search": "Find the rows of a store that are nearest to queries.",
    "cluster": "Group texts by their meaning, and name the groups.",
    "adapt": "Adapt a model to a corpus, embed and group the corpus with it, and report whether adapting helped.",
    "plan": "Forecast the memory, time and disk of other commands, and whether they fit.",
    "distill": "Make a static or shallow student, whose vectors are nearly those of a model and cheaper.",
    "whiten": "Write a model followed by a linear layer that makes all directions of its vectors count alike.",
    "merge": "Merge models that were adapted from the same base model into one.",
    "export": "Write a model in the format of another program, and prove that it gives the same vectors there.",
    "check": "Compare a folder, an export or a server with the model that it should be, and name what is wrong.",
    "serve": "Serve models by OpenAI's API for embeddings.",
    "evaluate": "Score models on texts of your own, by the protocols of MTEB.",
    "benchmark": "Score a model on tasks of MTEB, by MTEB's own code.",
    "explain": "Show what models attend to and how their vectors are distributed, side by side.",
    "reproduce": "Measure tables of arXiv:2507.22729 again and judge their claims.",
    "convert": "Write a GGUF file as a folder of safetensors.",
    "cache": "List and delete cached vectors.",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class _Main(Group):
    """A group whose commands are in modules of their name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def descriptions(self, ctx: click.Context) -> dict[str, str]:
        """Descriptions of the commands, which are not imported for it."""
        return COMMANDS

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        module = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"lastword.cli.{module}"), module)
        return command

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """Parse the command line up to the name of the command."""
        with _one_line():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _one_line(), _stopped_by(signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            return super().invoke(ctx)


class _Stopped(KeyboardInterrupt):
    """A signal asked the command to end."""


@contextmanager
def _stopped_by(*numbers: int) -> Iterator[None]:
    """Let signals end the command as Ctrl-C does, so that it deletes its temporary copies of data and models."""
    process = os.getpid()

    def stop(number: int, _: object) -> None:
        if os.getpid() != process:  # a worker that was forked
            os._exit(128 + number)
        raise _Stopped(128 + number)

    usual = [
        number for number in {*numbers} if signal.getsignal(number) == signal.SIG_DFL
    ]  # nohup ignores one
    if threading.current_thread() is not threading.main_thread():
        usual = []
    for number in usual:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn what may go wrong into one line and an exit code."""
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "lastword"
        _fail(f"{error.format_message()} (see {path} --help)", error.exit_code)
    except LastwordError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno in _FULL:
            _fail(
                f"the disk is full (or a file size limit is reached): free some space{_kept(error)}",
                1,
            )
        if error.errno not in _NOT_WRITABLE:
            raise
        _fail(f"{error.filename}: {error.strerror}", 2 if error.errno == errno.ENAMETOOLONG else 1)
    except _Stopped as error:
        _fail(f"stopped by a signal{_kept(error)}", error.args[0])
    except KeyboardInterrupt as error:
        _fail(f"interrupted{_kept(error)}", 130)


def _kept(error: BaseException) -> str:
    """That finished work is kept, and how the command continues, if it can."""
    return "".join(f"; finished work is kept: {note}" for note in getattr(error, "__notes__", []))


def _fail(message: str, code: int) -> None:
    click.echo(f"lastword: {message}", err=True)
    sys.exit(code)


@click.group(
    "lastword",
    cls=_Main,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
    examples=(
        "lastword demo",
        "lastword evaluate tickets.csv --text-column message --label-column topic --model mini",
    ),
)
@click.version_option(package_name="lastword", message="%(prog)s %(version)s", help="show the version")
def main() -> None:
    """Turn a pretrained decoder-only language model into a text-embedding model."""
