"""Talk for people, on stderr: one-line messages and progress bars.

Inside a library call lastword says nothing but warnings; the command line switches the talk on.
Results for machines go to stdout and are no business of this file.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("lastword")
_SHOW_AFTER_S = 2.0
_enabled = False
_bar: _Bar | None = None


def show_messages() -> None:
    """Switch the talk on, as the command line does: messages on stderr, bars where it is a terminal."""
    global _enabled
    if not _enabled:
        handler = logging.StreamHandler()  # stderr
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        _enabled = True


def info(message: str) -> None:
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
def progress(description: str, total: int, step: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar with the time left, for work of more than two seconds; silent away from a terminal.

    Work inside work that has a bar shows no other one, but says in it how far it is.

    Args:
        description: what is being done.
        total: units of it.
        step: units that are done together; work inside moves the bar by so many as it goes on.

    Yields:
        A function to call with the number of units just done.
    """
    global _bar
    if _bar is not None:
        yield from _within(_bar, description, total)
        return
    if not (_enabled and sys.stderr.isatty()):
        yield lambda done: None
        return
    _bar = _Bar(description, total, step)
    try:
        yield _bar.advance
    finally:
        _bar.stop()
        _bar = None


def _within(bar: _Bar, description: str, total: int) -> Iterator[Callable[[int], None]]:
    done, started, before = 0, time.monotonic(), bar.inner

    def advance(units: int) -> None:
        nonlocal done
        done += units
        if time.monotonic() - started > _SHOW_AFTER_S:
            bar.tell(f"{before} · {done:,} of {total:,} {description}", done / total if not before else None)

    try:
        yield advance
    finally:
        bar.tell(before)


class _Bar:
    """A bar of rich's, which appears when the work has taken a while."""

    def __init__(self, description: str, total: int, step: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        inner = TextColumn("{task.fields[inner]}")
        self._progress = Progress(*columns, inner, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(description, total=total, inner="")
        self._started = time.monotonic()
        self._total, self._step, self._done = total, step, 0
        self.inner = ""

    def advance(self, done: int) -> None:
        """Count units that are done."""
        self._done += done
        self._progress.update(self._task, completed=self._done)
        self._show()

    def tell(self, inner: str, share: float | None = None) -> None:
        """Say how far the work is inside its present step, and move by that share of it."""
        self.inner = inner
        self._progress.update(self._task, inner=inner)
        if share is not None:
            left = max(0, min(self._step, self._total - self._done))
            self._progress.update(self._task, completed=self._done + share * left)
        self._show()

    def stop(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def _show(self) -> None:
        if not self._progress.live.is_started and time.monotonic() - self._started > _SHOW_AFTER_S:
            self._progress.start()
