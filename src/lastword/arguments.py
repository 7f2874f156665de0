"""Kinds of arguments: what Python would take for something else, or refuse only deep inside, is refused by its name."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from lastword.errors import RequestError

_UNORDERED = (str, bytes, bytearray, Mapping, set, frozenset)


def require_list(name: str, values: object, *, empty: bool = True, strings: bool = False) -> None:
    """Refuse what is no list, array or column: a string, a set or a table hold other values, or no order.

    Args:
        name: of the argument.
        values: its value.
        empty: whether it may be empty.
        strings: whether each value must be a string.

    Raises:
        RequestError: see the message.
    """
    if isinstance(values, Iterator):
        raise RequestError(f"{name} is an iterator ({type(values).__name__}): give list({name})")
    require_iterable(name, values)
    if not (isinstance(values, Sized) and isinstance(values, Iterable)):
        raise RequestError(f"{name} is {type(values).__name__}: give a list")
    if not (empty or len(values)):
        raise RequestError(f"{name} is empty: give at least one")
    for each in values if strings else ():
        if not isinstance(each, str):
            raise RequestError(f"{name} has {each!r} in it: give strings")


def require_iterable(name: str, values: object) -> None:
    """As `require_list`, but iterators are allowed too.

    Raises:
        RequestError: see the message.
    """
    dimensions = getattr(values, "ndim", 1)
    if isinstance(values, _UNORDERED) or not isinstance(values, Iterable) or dimensions == 0:
        raise RequestError(f"{name} is {type(values).__name__}: give a list")
    if dimensions != 1:
        raise RequestError(
            f"{name} is {type(values).__name__} of {dimensions} dimensions: give one column of it"
        )


def python_values(values: Any) -> Any:
    """A list of the values of a column of pyarrow, which has kinds of its own for them; others pass unchanged."""
    return values.to_pylist() if hasattr(values, "to_pylist") else values


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """A number as an int, also one of numpy.

    Args:
        name: of the argument.
        value: its value.
        least: the smallest that is allowed.

    Raises:
        RequestError: something else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        allowed = "a whole number" if least is None else f"a whole number, {least} or more"
        raise RequestError(f"{name}={value!r}: give {allowed}")
    return number


def require_bool(name: str, value: object) -> None:
    """Refuse what is neither True nor False nor None: a string such as "no" would count as true.

    Raises:
        RequestError: see the message.
    """
    if not (value is None or isinstance(value, bool)):
        raise RequestError(f"{name}={value!r}: give True or False")


def require_name(name: str, value: object) -> None:
    """Refuse what names no column: an empty string, or none at all.

    Raises:
        RequestError: see the message.
    """
    if not (isinstance(value, str) and value.strip()):
        raise RequestError(f"{name}={value!r}: give the name of a column")


def require_string(name: str, value: object) -> None:
    """Refuse what is neither a string nor None.

    Raises:
        RequestError: see the message.
    """
    if not (value is None or isinstance(value, str)):
        raise RequestError(f"{name}={value!r}: give a string")


def as_path(name: str, value: object) -> Path:
    """A path as a Path.

    Raises:
        RequestError: something else.
    """
    if not (isinstance(value, str | os.PathLike) and os.fspath(value)):
        raise RequestError(f"{name}={value!r}: give a path")
    return Path(value)
