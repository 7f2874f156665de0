"""Every error that lastword raises on purpose.

    LastwordError
    ├── RequestError (ValueError)                the request is wrong; exit code 2
    │   ├── MissingFileError (FileNotFoundError)     a file or folder does not exist
    │   ├── ExistingOutputError (FileExistsError)    an output would be overwritten
    │   │   └── NothingToResumeError                     it is complete, and was to be resumed; exit code 0
    │   ├── TableError                               columns or cells of a file are invalid
    │   │   └── NoRowsError                              it has no rows
    │   ├── TemplateError                            a template is invalid
    │   ├── ModelError                               a model cannot be used
    │   └── MissingExtraError                        a library of an install extra is not installed
    └── WorkError (RuntimeError)                 the request is right, the work failed; exit code 1
        ├── DivergenceError                          a loss or vector is not a finite number
        └── ParityError                              two ways to the same vector disagree

A message says in one line what was passed, what is allowed and what to do. It names arguments of the Python
function (`overwrite=True`); the command line translates them to flags.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LastwordError(Exception):
    """Root of the tree: catch this to catch everything that lastword raises on purpose."""

    exit_code = 1


class RequestError(LastwordError, ValueError):
    """The request is wrong: an invalid name, value or file."""

    exit_code = 2


class MissingFileError(RequestError, FileNotFoundError):
    """A file or folder does not exist."""


class ExistingOutputError(RequestError, FileExistsError):
    """An output exists already; it is replaced only with `overwrite=True`."""


class NothingToResumeError(ExistingOutputError):
    """`resume=True`, but the output is complete: nothing is left to do, and the command line ends without an error."""

    exit_code = 0


class TableError(RequestError):
    """Columns or cells of a file are invalid."""


class TemplateError(RequestError):
    """A template is invalid."""


class NoRowsError(TableError):
    """A file has no rows."""


class ModelError(RequestError):
    """A model cannot be used, or a folder does not contain one."""


class MissingExtraError(RequestError):
    """A library of an install extra is not installed."""


class WorkError(LastwordError, RuntimeError):
    """The request is right, the work failed."""


class DivergenceError(WorkError):
    """A loss or vector is not a finite number."""


class ParityError(WorkError):
    """Two ways to the same vector disagree."""


def unknown_name(kind: str, name: object, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name, with the most similar known one.

    >>> unknown_name("pooling", "maen", ["mean", "max"])
    "unknown pooling 'maen': did you mean 'mean'? Known: mean, max"
    >>> unknown_name("column", "cost", ["price, net", "price, gross"])
    "unknown column 'cost': Known: price, net; price, gross"
    """
    names = list(allowed)
    similar = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {similar[0]!r}? " if similar else ""
    known = f"Known: {listed(names)}" if names else f"there are no {kind}s"
    return f"unknown {kind} {name!r}: {hint}{known}"


def listed(names: Iterable[str]) -> str:
    """Names in a row, between semicolons if a name has a comma."""
    names = [*names]
    return ("; " if any("," in name for name in names) else ", ").join(names)


def first_line(error: BaseException) -> str:
    """First line of an error's message, with the next one where it ends in a colon, or the name of the error's type."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def require_width(width: int, dim: int, trained: Iterable[int], argument: str = "truncate_dim") -> None:
    """Refuse to truncate vectors to a width that they do not have, or that their model was not trained for.

    Args:
        width: asked for.
        dim: of the vectors.
        trained: widths besides `dim` that the model was trained for; none if any may do.
        argument: that gave the width.

    Raises:
        RequestError: see the message.
    """
    if not 1 <= width <= dim:
        raise RequestError(f"{argument}={width}: vectors have {dim} dimensions; use 1 … {dim}")
    if (known := {*trained}) and width not in (known := known | {dim}):
        shown = ", ".join(map(str, sorted(known)))
        raise RequestError(
            f"{argument}={width}: the model was trained for vectors of {shown} dimensions; use one of these"
        )
