"""Options made from the fields of a settings class, so that flags, recipes and code cannot drift apart."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Sequence
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
                metavar=_metavar(kinds[field.name], kind[0]),
                help=help_of[field.name] + shown,
            )(function)
        return function

    return add


def development_options(purpose: str) -> Decorator:
    """`--dev` and what goes with it; `read_sets` reads what they name.

    Args:
        purpose: what the texts are for, to end the help of `--dev`.
    """
    options = (
        click.option(
            "--dev",
            multiple=True,
            metavar="FILE[:SPLIT]",
            help=f"labelled development texts {purpose}; repeatable",
        ),
        click.option("--dev-text-column", default="text", show_default=True, help="their column of texts"),
        click.option(
            "--dev-label-column",
            default="label",
            show_default=True,
            metavar="A,B,…",
            help="their column of labels; of several, each is a set of its own",
        ),
        click.option("--dev-split", help="keep their rows whose column `split` has this value"),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def read_sets(
    dev: Sequence[str], text_column: str, label_column: str, split: str | None, *, drop_empty: bool = False
) -> dict[str, tuple[list[str], list[str]]]:
    """The development texts that the options of `development_options` name."""
    from lastword.evaluation.development import read_development

    return read_development(
        dev,
        text_column=text_column,
        label_columns=[name.strip() for name in label_column.split(",")],
        split=split,
        drop_empty=drop_empty,
    )


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Only the flags that were given."""
    return {name: value for name, value in values.items() if value is not None}


def _metavar(declared: Any, kind: Any) -> str:
    if declared == tuple[str, ...]:
        return "A,B,…"
    return {int: "N", float: "X"}.get(kind, "TEXT")
