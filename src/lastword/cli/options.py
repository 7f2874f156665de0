"""Options made from the fields of a settings class, so that flags, recipes and code cannot drift apart."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def field_help(settings: type) -> dict[str, str]:
    """Field → its description in the class's docstring."""
    text = (settings.__doc__ or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {8}(\w+): (.+?)(?=^ {8}\w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(description.split()).rstrip(".") for name, description in entries}


def options_of(settings: type, *, leave_out: tuple[str, ...] = ()) -> Decorator:
    """One option for each field; a flag that is not given is None, so that a recipe's value stands."""
    help_of, kinds = field_help(settings), typing.get_type_hints(settings)

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(dataclasses.fields(settings)):
            if field.name in leave_out:
                continue
            default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
            shown = "" if default in (None, "") else f"  [default: {default}]"
            kind = typing.get_args(kinds[field.name])[:1] or (kinds[field.name],)
            function = click.option(
                f"--{field.name.replace('_', '-')}",
                type=kind[0] if kind[0] in (int, float) else str,
                default=None,
                metavar=_metavar(kinds[field.name]),
                help=help_of[field.name] + shown,
            )(function)
        return function

    return add


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Only the flags that were given."""
    return {name: value for name, value in values.items() if value is not None}


def _metavar(kind: Any) -> str:
    if kind == tuple[str, ...]:
        return "A,B,…"
    return {int: "N", float: "X"}.get(kind, "TEXT")
