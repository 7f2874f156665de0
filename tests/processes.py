"""Processes that are killed at a given moment of their work. How fast the machine is makes no difference.

Each is forked from a process that has imported the libraries: importing them takes seconds in a new one.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["lastword.adaptation.adapt", "lastword.cli", "sentence_transformers"])
Moment = Callable[[], None]
"""Arms the process in which it is called: it kills itself later."""


def before(function: str, call: int) -> Moment:
    """Before a call of a function, counted from 1; the function is named by the path with which it is looked up."""
    return partial(_kill_at, function, call, "before")


def after(function: str, call: int) -> Moment:
    """After a call of a function."""
    return partial(_kill_at, function, call, "after")


def after_calls(number: int) -> Moment:
    """After so many calls of any functions, and returns from them, in all threads."""
    return partial(_kill_after, number)


def start(
    function: Callable[..., object], *args: Any, prepare: Callable[[], object] | None = None, **settings: Any
) -> BaseProcess:
    """Call a function in a process of its own.

    Args:
        function: one that a process can import.
        prepare: called before it.
    """
    process = _forks.Process(target=_prepared, args=(prepare, function, args, settings))
    process.start()
    return process


def run(function: Callable[..., object], *args: Any, **settings: Any) -> None:
    """Call a function in a process of its own, as `start` does; it must end without an error."""
    process = start(function, *args, **settings)
    process.join()
    assert process.exitcode == 0


def run_killed(moment: Moment, function: Callable[..., object], *args: Any, **settings: Any) -> None:
    """Call a function in a process of its own, as `start` does; the process is killed at the moment."""
    process = start(_killed, moment, function, args, **settings)
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"{moment}: the process ended by itself"


def set_at(path: str, value: object) -> None:
    """Set a variable of a module or an attribute of a class."""
    setattr(*_owner(path), value)


def wrap(path: str, around: Callable[[Callable[[], Any]], Any]) -> None:
    """Replace a function by one that calls `around` with the call."""
    where, name = _owner(path)
    original = getattr(where, name)
    setattr(where, name, lambda *args, **settings: around(lambda: original(*args, **settings)))


def _prepared(
    prepare: Callable[[], object] | None, function: Callable[..., object], args: Any, settings: Any
) -> None:
    if prepare:
        prepare()
    function(*args, **settings)


def _killed(moment: Moment, function: Callable[..., object], args: Any, **settings: Any) -> None:
    moment()
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


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(path: str, number: int, when: str) -> None:
    calls = []

    def around(call: Callable[[], Any]) -> Any:
        calls.append(path)
        last = len(calls) == number
        if last and when == "before":
            _kill()
        result = call()
        if last:
            _kill()
        return result

    wrap(path, around)


def _kill_after(number: int) -> None:
    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal number
        number -= 1
        if number <= 0:
            _kill()

    threading.setprofile(count)
    sys.setprofile(count)
