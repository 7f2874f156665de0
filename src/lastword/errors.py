"""Every error lastword raises on purpose.

    LastwordError
    ├── RequestError (ValueError)                what was asked for is wrong; exit code 2
    │   ├── MissingFileError (FileNotFoundError)     a file or folder that is not there
    │   ├── ExistingOutputError (FileExistsError)    an output that would be overwritten
    │   ├── TableError                               a file whose columns or cells do not serve
    │   ├── TemplateError                            a template that cannot wrap a text
    │   └── ModelError                               a model that lastword cannot use
    └── WorkError (RuntimeError)                 the work itself failed; exit code 1
        ├── DivergenceError                          a loss that is not a finite number
        └── ParityError                              two ways to one vector that disagree

A message says what was given, what is allowed and what to do, in one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LastwordError(Exception):
    """Root of the tree: catch this to catch everything lastword raises on purpose."""

    exit_code = 1


class RequestError(LastwordError, ValueError):
    """The request was wrong: a name, a value or a file that does not serve."""

    exit_code = 2


class MissingFileError(RequestError, FileNotFoundError):
    """A file or folder that is not there."""


class ExistingOutputError(RequestError, FileExistsError):
    """An output that exists already; nothing is overwritten unasked."""


class TableError(RequestError):
    """A file whose columns or cells do not serve."""


class TemplateError(RequestError):
    """A template that cannot wrap a text."""


class ModelError(RequestError):
    """A model that lastword cannot use, or a folder that holds none."""


class WorkError(LastwordError, RuntimeError):
    """The request was fine, the work failed."""


class DivergenceError(WorkError):
    """A loss that is not a finite number."""


class ParityError(WorkError):
    """Two ways to the same vector that disagree."""


def unknown_name(kind: str, given: str, allowed: Iterable[str]) -> str:
    """Return the message for a name that is not on the list, with the nearest one that is.

    >>> unknown_name("pooling", "maen", ["mean", "max"])
    "unknown pooling 'maen': did you mean 'mean'? Known: mean, max"
    """
    names = list(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {given!r}: {hint}Known: {', '.join(names)}"
