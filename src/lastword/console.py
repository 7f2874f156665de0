"""Talk for people, on stderr: one-line messages and progress bars.

Inside a library call lastword says nothing but warnings; the command line switches the talk on.
Results for machines go to stdout and are no business of this file.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("lastword")
_SHOW_AFTER_S = 2.0
_talking = False
_showing = False


def talk() -> None:
    """Switch the talk on, as the command line does: messages on stderr, bars where it is a terminal."""
    global _talking
    if not _talking:
        handler = logging.StreamHandler()  # stderr
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        _talking = True


def say(message: str) -> None:
    """Tell the user something worth knowing."""
    logger.info(message)


def warn(message: str) -> None:
    """Tell the user something that may spoil the result; shown to library users too."""
    logger.warning(message)


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing for a while: for lastword's own checks, whose warnings are not about the user's texts."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the time left, for work of more than two seconds; silent away from a terminal.

    Work inside work that has a bar already shows none of its own.

    Yields:
        A function to call with the number of units just done.
    """
    global _showing
    if _showing or not (_talking and sys.stderr.isatty()):
        yield lambda done: None
        return
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task, started = bar.add_task(description, total=total), time.monotonic()

    def advance(done: int) -> None:
        bar.advance(task, done)
        if not bar.live.is_started and time.monotonic() - started > _SHOW_AFTER_S:
            bar.start()

    _showing = True
    try:
        yield advance
    finally:
        _showing = False
        bar.stop()
