"""Processes that are killed at a given moment of their work. How fast the machine is makes no difference.

Each is forked from a process that has imported the libraries: importing them takes seconds in a new one.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from lastword.cli import main

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["lastword.adaptation.adapt", "lastword.cli", "sentence_transformers"])
Prepare = Callable[[], object]
"""What a process does before its work."""


def before(function: str, call: int, number: signal.Signals = signal.SIGKILL) -> Prepare:
    """Arrange a signal to the process itself before a call of a function.

    Args:
        function: the path by which it is looked up.
        call: counted from 1.
        number: the signal.
    """
    return partial(_signal_at, function, call, number, True)


def after(function: str, call: int, number: signal.Signals = signal.SIGKILL) -> Prepare:
    """The same after the call."""
    return partial(_signal_at, function, call, number, False)


def after_calls(number: int, since: str) -> Prepare:
    """Arrange that the process is killed after so many calls of any functions, and returns from them.

    Args:
        number: of calls and returns, in all threads.
        since: the function whose first call begins the count.
    """
    return partial(_kill_after, number, since)


def start(
    function: Callable[..., object], *args: Any, prepare: Sequence[Prepare] = (), **settings: Any
) -> BaseProcess:
    """Call a function that can be imported in a process of its own."""
    process = _forks.Process(target=_prepared, args=(prepare, function, args, settings))
    process.start()
    return process


def run(function: Callable[..., object], *args: Any, code: int = 0, **settings: Any) -> None:
    """Call a function in a process of its own, as `start` does; the process must end with this exit code."""
    process = start(function, *args, **settings)
    process.join()
    assert process.exitcode == code


def run_killed(moment: Prepare, function: Callable[..., object], *args: Any, **settings: Any) -> None:
    """Call a function in a process of its own, as `start` does; it must be killed at the moment."""
    prepare = [*settings.pop("prepare", ()), moment]
    run(function, *args, **settings, prepare=prepare, code=-signal.SIGKILL)


def command(arguments: Sequence[object], stderr: Path) -> None:
    """Be the command `lastword`; standard error goes to a file."""
    with stderr.open("w") as file:
        os.dup2(file.fileno(), 2)
    main([str(argument) for argument in arguments], prog_name="lastword")


def limit_files(most_bytes: int) -> None:
    """Let no file grow beyond a size, in place of a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def set_all(values: Mapping[str, object]) -> None:
    """Set variables of modules, and attributes of classes."""
    for path, value in values.items():
        setattr(*_owner(path), value)


def wrap(path: str, around: Callable[[Callable[[], Any]], Any]) -> None:
    """Replace a function by one that calls `around` with the call."""
    where, name = _owner(path)
    original = getattr(where, name)
    setattr(where, name, lambda *args, **settings: around(lambda: original(*args, **settings)))


def _prepared(prepare: Sequence[Prepare], function: Callable[..., object], args: Any, settings: Any) -> None:
    for step in prepare:
        step()
    function(*args, **settings)


def _owner(path: str) -> tuple[Any, str]:
    """The module or class, and the name in it."""
    parts = path.split(".")
    split = next(
        number for number, part in enumerate(parts[1:], 1) if part[:1].isupper() or number == len(parts) - 1
    )
    found: Any = importlib.import_module(".".join(parts[:split]))
    for part in parts[split:-1]:
        found = getattr(found, part)
    return found, parts[-1]


def _signal_at(path: str, call: int, number: signal.Signals, early: bool) -> None:
    calls = itertools.count(1)

    def around(work: Callable[[], Any]) -> Any:
        now = next(calls) == call
        if now and early:
            os.kill(os.getpid(), number)
        result = work()
        if now and not early:
            os.kill(os.getpid(), number)
        return result

    wrap(path, around)


def _kill_after(number: int, since: str) -> None:
    left = itertools.count(number, -1)

    def count(frame: FrameType, event: str, argument: object) -> None:
        if next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(work: Callable[[], Any]) -> Any:
        threading.setprofile(count)
        sys.setprofile(count)
        return work()

    wrap(since, around)
