"""Messages and progress for people, on stderr.

A library call logs warnings only; the command line switches messages and progress on. Results go to stdout
and do not pass through here.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from lastword.errors import LastwordError

logger = logging.getLogger("lastword")
_BAR_AFTER_S = 2.0
_LINE_EVERY_S = 30.0
_progress_shown = False
_running: _Work | None = None
_counts: dict[str, list[int]] | None = None  # message → how many, of how many; while they are added up


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at the moment: above the bar where there is one."""

    rewrite: Callable[[str], str] = staticmethod(str)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(self.rewrite(record.getMessage()), file=sys.stderr, flush=True)


_handler = _StderrHandler()


def show_messages(*, quiet: bool = False, rewrite: Callable[[str], str] = str) -> None:
    """Switch messages and progress on, as the command line does.

    Args:
        quiet: show warnings and errors only.
        rewrite: applied to every message.
    """
    global _progress_shown
    _progress_shown = not quiet
    _handler.rewrite = rewrite
    logger.addHandler(_handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels that are not needed


def info(message: str) -> None:
    """Log a message that is worth knowing."""
    logger.info(message)


def warn(message: str) -> None:
    """Log something that may spoil the result; library users see it too."""
    logger.warning(message)


# About a file, which a command may open several times: only the first time.
info_once = cache(info)
warn_once = cache(warn)


def warn_of_some(message: str, count: int, total: int) -> None:
    """Warn of what holds for some texts: "3 of 80 …"; nothing where it holds for none."""
    if _counts is None:
        if count:
            warn(f"{count} of {total} {message}")
        return
    counts = _counts.setdefault(message, [0, 0])
    counts[:] = counts[0] + count, counts[1] + total


@contextmanager
def one_warning_of_some() -> Iterator[None]:
    """Add up the counts of `warn_of_some`, for work in many pieces, and warn once at the end."""
    global _counts
    if _counts is not None:  # the outer one adds up
        yield
        return
    _counts = {}
    try:
        yield
    finally:
        counts, _counts = _counts, None
        for message, (count, total) in counts.items():
            warn_of_some(message, count, total)


@contextmanager
def silenced(*libraries: str) -> Iterator[None]:
    """Log neither messages nor warnings: for lastword's own checks, which are not about the user's texts.

    Args:
        libraries: names of libraries to silence too.
    """
    loggers = [logger, *map(logging.getLogger, libraries)]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


@contextmanager
def renamed(path: object, shown: object) -> Iterator[None]:
    """Show another name for a path in messages and errors, such as that which a folder will have when it is complete.

    Args:
        path: of an unfinished output.
        shown: what people know it as.
    """

    def rename(record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).replace(str(path), str(shown))
        return True

    logger.filters.insert(0, rename)  # before those outside, which know the shown path
    try:
        yield
    except LastwordError as error:
        error.args = (str(error).replace(str(path), str(shown)),)
        raise
    finally:
        logger.removeFilter(rename)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> [duration(seconds) for seconds in (45, 200, 7500)]
    ['45 s', '3 min 20 s', '2 h 05 min']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def progress(description: str, total: int, step: int = 0, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show how far some work is and the time left.

    On a terminal a bar appears after two seconds; elsewhere a line is logged every 30 seconds. Progress inside
    a step of other progress is shown with that one.

    Args:
        description: what is done.
        total: units of work; 0 if it is not known how many.
        step: units that are done together; progress inside the step counts as a share of it.
        done: units that an interrupted run has done; the time left is estimated without them.

    Yields:
        A function to call with the number of units just done.
    """
    global _running
    if _running is not None:
        outer = _running.innermost
        outer.inner = inner = _Work(description, total, step, done)
        try:
            yield inner.advance
        finally:
            _ = outer.completed  # what is done inside counts until the step is
            outer.inner = None
        return
    if not _progress_shown:
        yield lambda units: None
        return
    work = _running = _Work(description, total, step, done)
    finished = threading.Event()
    show = _draw_bar if sys.stderr.isatty() else _log_lines
    thread = threading.Thread(target=show, args=(work, finished), daemon=True)
    thread.start()
    try:
        yield work.advance
    finally:
        _running = None
        finished.set()
        thread.join()


def load_libraries(*modules: str) -> None:
    """Import modules that take seconds, with progress; a request is checked before it is called.

    Args:
        *modules: such as "torch", "transformers.modeling_utils", "sklearn.cluster", "mteb".
    """
    with progress("loading libraries", len(modules)) as advance:
        for module in modules:
            importlib.import_module(module)
            advance(1)


class _Work:
    """How far some work is.

    Attributes:
        done: units that are done, with those that were done before.
        share: share of the present step that is done, 0 … 1.
        inner: progress inside the present step.
    """

    def __init__(self, description: str, total: int, step: int, done: int) -> None:
        self.description, self.total, self.step = description, total, step
        self.started = time.monotonic()
        self.before = self.done = done
        self.share = 0.0
        self.inner: _Work | None = None

    def advance(self, units: int) -> None:
        """Count units that are done."""
        self.done, self.share = self.done + units, 0.0

    @property
    def innermost(self) -> _Work:
        """The work that new progress is inside of."""
        return self.inner.innermost if self.inner else self

    @property
    def completed(self) -> float:
        """Units done, the share of the present step included; a second progress inside a step never takes it back."""
        inner = self.inner
        if inner and inner.total and inner.is_shown:
            self.share = max(self.share, inner.completed / inner.total)
        rest = max(0, self.total - self.done) if self.total else self.step
        return self.done + self.share * min(self.step, rest)

    @property
    def is_shown(self) -> bool:
        """Whether it takes long enough to be worth a word."""
        return time.monotonic() - self.started > _BAR_AFTER_S

    @property
    def detail(self) -> str:
        """The progress inside, unless it counts the same."""
        inner = self.inner
        if not inner or not inner.is_shown:
            return ""
        same = inner.description == self.description
        return ("" if same else f" · {inner.done:,} of {inner.total:,} {inner.description}") + inner.detail

    @property
    def time_left(self) -> str:
        """Estimated from the mean time of a unit so far."""
        completed = self.completed
        if completed == self.before or not self.total:
            return "time left not known yet"
        seconds = (time.monotonic() - self.started) * (self.total - completed) / (completed - self.before)
        return f"about {duration(max(seconds, 0))} left"


def _log_lines(work: _Work, finished: threading.Event) -> None:
    """Log one line every 30 seconds, for log files and pipes."""
    while not finished.wait(_LINE_EVERY_S):
        if work.total == 1 and not work.completed:
            info(f"{work.description}: {duration(time.monotonic() - work.started)} so far{work.detail}")
            continue
        count = f"{work.completed:,.0f}" + (f" of {work.total:,}" if work.total else "")
        info(f"{work.description}: {count}, {work.time_left}{work.detail}")


def _draw_bar(work: _Work, finished: threading.Event) -> None:
    """Draw a bar on a terminal; it disappears when the work is finished."""
    if finished.wait(_BAR_AFTER_S):
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    description = TextColumn("{task.description}", markup=False)
    rest = TextColumn("{task.fields[left]}{task.fields[detail]}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), rest)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(work.description, total=work.total or None, left="", detail="")
        while True:
            bar.update(task, completed=work.completed, left=work.time_left, detail=work.detail)
            if finished.wait(0.1):
                return
