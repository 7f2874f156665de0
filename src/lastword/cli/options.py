"""Options that several commands have: one name, one meaning, one place."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import click

from lastword.augment import NOISES
from lastword.bundled import check_encoder, check_guide, check_model
from lastword.cli import checks
from lastword.cli.checks import COUNT, NEW, SEED, Checked, Choice, Delimiter, Finite, split_names
from lastword.cli.command import Decorator, option
from lastword.config import CHOICES, LIMITS, PROJECTIONS
from lastword.embedding.pooling import POOLINGS, Pooling
from lastword.embedding.template import TEMPLATES, Template
from lastword.embedding.windows import LongTexts
from lastword.files.encodings import check_encoding
from lastword.paper.switches import SWITCHES

TEXTS, MODEL, TRAINING, SCORING, OUTPUT = "Texts", "Model", "Training", "Scoring", "Output"
DEVELOPMENT = "Development texts"
TYPES: dict[str, Any] = {
    "model": Checked("model", check_model),
    "template": Checked("template", Template.parse),
    "teacher_template": Checked("template", Template.parse),
    "pooling": Checked("pooling", Pooling.parse),
    "guide": Checked("model", check_guide),
    "device": Checked("device", checks.check_device),
    **{name: Choice(name, names) for name, names in CHOICES.items()},
    "encoding": Checked("encoding", check_encoding),
    "delimiter": Delimiter(),
    "projections": checks.Several(Choice("projection", PROJECTIONS)),
    "noise": checks.Several(Choice("noise", NOISES)),
}
"""Name of an option → what its value may be."""
NAMES = {
    "template": f"{', '.join(TEMPLATES)}, or a string with {{text}} (twice: the text is repeated); A+B averages "
    "vectors, NAME@FILE shows the examples of a file first, NAME@FILE:4:0 four of them drawn by seed 0",
    "pooling": f"{', '.join(POOLINGS)}; NAME:text leaves out the template's tokens, "
    "NAME:4layers pools the mean of 4 layers, mean:ditto weighs by attention, A+B joins vectors, latent has trained "
    "weights",
}
"""Name of an option → the values that its help lists."""
ENCODER = Checked("model", check_encoder)
TRAINING_LIBRARIES = ("torch", "transformers.modeling_utils", "peft", "accelerate", "sklearn.cluster")

SHARED: dict[str, dict[str, Any]] = {
    "--text-column": {"group": TEXTS, "default": "text", "help": "column of the texts"},
    "--label-column": {"group": TEXTS, "default": "label", "help": "column of the labels"},
    "--anchor-column": {"group": TEXTS, "default": "anchor", "help": "column of the anchors"},
    "--positive-column": {"group": TEXTS, "default": "positive", "help": "column of the positives"},
    "--score-column": {"group": TEXTS, "default": "score", "help": "column of the scores of pairs"},
    "--split": {"group": TEXTS, "help": "use only the rows whose column `split` has this value"},
    "--max-texts": {"group": TEXTS, "type": COUNT, "help": "use a fixed sample of at most N texts"},
    "--seed": {"group": TEXTS, "type": SEED, "default": 0, "help": "seed of the sample"},
    "--drop-empty": {"group": TEXTS, "is_flag": True, "help": "leave out rows with empty or non-text cells"},
    "--encoding": {
        "group": TEXTS, "type": TYPES["encoding"], "help": "of text files, such as latin-1  [default: detected]",
    },
    "--delimiter": {
        "group": TEXTS, "type": TYPES["delimiter"], "metavar": "C",
        "help": "between the cells of CSV and TSV files, such as ; or tab  [default: detected]",
    },
    "--seeds": {"group": TRAINING, "type": click.IntRange(1, 100), "default": 3, "help": "training runs"},
    "--samples-per-label": {
        "group": SCORING, "type": click.IntRange(1, 10_000), "default": 8,
        "help": "training texts of each label in a classification",
    },
    "--model": {
        "group": MODEL,
        "type": TYPES["model"],
        "help": "mini, smollm2, smollm2-adapted; or a decoder's name or folder",
    },
    "--template": {"group": MODEL, "type": TYPES["template"], "help": f"template of a base model: {NAMES['template']}"},
    "--pooling": {"group": MODEL, "type": TYPES["pooling"], "help": f"pooling of a base model: {NAMES['pooling']}"},
    "--long-texts": {
        "group": MODEL, "type": Checked("long_texts", LongTexts.parse),
        "help": "truncate texts that are longer than the model reads, or embed all of them: windows, windows:256 or "
        "windows:256:32 (tokens of a window, and of the overlap); late in place of windows pools each after the whole "
        "text was read  [default: truncate]",
    },
    "--batch-tokens": {
        "group": MODEL, "type": click.IntRange(1, 10**7), "help": "padded tokens in one pass; bounds the memory",
    },
    "--dtype": {
        "group": MODEL, "type": TYPES["dtype"],
        "help": "precision of the model  [default: the best precision that the device supports]",
    },
    "--device": {
        "group": MODEL, "type": TYPES["device"],
        "help": "cpu, cuda, cuda:1 or mps  [default: cuda, else mps, else cpu]",
    },
    "--output -o": {"group": OUTPUT, "type": NEW, "help": "folder to write"},
    "--resume": {"group": OUTPUT, "is_flag": True, "help": "continue an interrupted run of the same settings"},
    "--overwrite": {"group": OUTPUT, "is_flag": True, "help": "replace existing output"},
    "--json as_json": {"group": OUTPUT, "is_flag": True, "help": "print the result as JSON"},
}  # fmt: skip
"""Names of an option → what `option` is called with."""


def together(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which help lists them."""
    return lambda function: reduce(lambda inner, decorator: decorator(inner), reversed(decorators), function)


def shared(*flags: str, dest: str = "", **changes: Any) -> Decorator:
    """Options of `SHARED`.

    Args:
        flags: which.
        dest: name of the argument; by default that of the flag.
        changes: to what `option` is called with.
    """
    names_of = {names.split()[0]: names for names in SHARED}
    return together(*(
        option(names=f"{names_of[flag]} {dest}", **SHARED[names_of[flag]] | changes) for flag in flags
    ))  # fmt: skip


def inputs(help: str) -> Decorator:
    """The files of a corpus."""
    return click.argument("inputs", metavar="INPUT…", type=checks.TABLE, nargs=-1, required=True, help=help)


def models(**changes: Any) -> Decorator:
    """`--model` for everything that can be scored."""
    text = (
        "mini, tfidf, sentence-transformers:NAME, name or folder of a decoder; sparse:, expanded: or hybrid: before "
        "it"
    )
    return shared("--model", **{"type": ENCODER, "help": text, "required": True, **changes})


def as_published(help: str, *where: str, group: str = SCORING) -> Decorator:
    """`--as-published`; its help lists the switches that change what a command does."""
    names = ", ".join(name for name, switch in SWITCHES.items() if switch.where in where)
    switches = checks.Several(Choice("switch", (*SWITCHES, "all")))
    return option(
        group, "--as-published", f"{help}: {names}, or all", type=switches, default=(), metavar="A,B,…"
    )


def development(help: str) -> Decorator:
    """`--dev` and the columns of its files; `read_sets` reads what they name."""
    columns = "column of the labels; each of several, A,B,…, makes a set of its own"
    return together(
        option(DEVELOPMENT, "--dev", help, multiple=True, metavar="FILE[:SPLIT]"),
        shared("--text-column", group=DEVELOPMENT, needs="dev"),
        shared("--label-column", group=DEVELOPMENT, needs="dev", help=columns),
        shared("--split", group=DEVELOPMENT, needs="dev"),
    )


def read_sets(
    settings: dict[str, Any],
    default: Sequence[str] = (),
    encoding: str | None = None,
    delimiter: str | None = None,
) -> dict[str, tuple[list[str], list[str]]]:
    """The development texts that the options of `development` name; these are taken out of the settings."""
    from lastword.evaluation.development import read_development

    return read_development(
        settings.pop("dev") or default, text_column=settings.pop("text_column"),
        label_columns=split_names(settings.pop("label_column")), split=settings.pop("split"),
        drop_empty=settings.get("drop_empty", False), encoding=encoding, delimiter=delimiter,
    )  # fmt: skip


def settings(config: type, groups: Mapping[str, Sequence[str]]) -> Decorator:
    """One option for each field of a settings class; None is a flag that is not on the command line.

    Args:
        config: a dataclass whose docstring describes its fields.
        groups: heading → fields; the heading without any lists the other fields.
    """
    help_of, kinds = field_help(config), typing.get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(config)}
    named = {name for names in groups.values() for name in names}
    listed = {
        title: names or [name for name in fields if name not in named] for title, names in groups.items()
    }
    return together(*(
        _setting(fields[name], kinds[name], help_of[name], title)
        for title, names in listed.items() for name in names
    ))  # fmt: skip


def _setting(field: dataclasses.Field[Any], declared: Any, help: str, group: str) -> Decorator:
    several = typing.get_origin(declared) is tuple
    kind = (typing.get_args(declared) or (declared,))[0]
    default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    number = _range(field.name, kind) if kind in (int, float) else None
    shown = "" if default in (None, "", ()) else f"  [default: {default}]"
    return option(
        group,
        f"--{field.name.replace('_', '-')}",
        ": ".join(filter(None, (help, NAMES.get(field.name)))) + shown,
        type=TYPES.get(field.name) or (checks.Several(number) if number and several else number or str),
        default=None,
        show_range=False,  # it is part of the description
        metavar="A,B,…" if several else None,
    )


def _range(name: str, kind: type) -> click.IntRange | Finite:
    low, high = LIMITS[name]
    return click.IntRange(int(low), int(high)) if kind is int else Finite(low, high)


def field_help(config: type) -> dict[str, str]:
    """Field → its description in the class's docstring."""
    text = (config.__doc__ or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {8}(\w+): (.+?)(?=^ {8}\w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(description.split()).rstrip(".") for name, description in entries}


def taken(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Only the options that are arguments of a function."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in values.items() if name in parameters}


def passed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only the options that are on the command line."""
    return {name: value for name, value in values.items() if value is not None}
