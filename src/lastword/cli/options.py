"""Options that several commands have: one name, one meaning, one place."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import click

from lastword.cli import checks
from lastword.cli.checks import COUNT, NEW, SEED, Checked, Choice, Choices, split_names
from lastword.cli.command import Decorator, option
from lastword.paper.switches import SWITCHES

TEXTS, MODEL, OUTPUT, DEVELOPMENT = "Texts", "Model", "Output", "Development texts"
TEMPLATES = ("none", "eol", "pcot", "sum", "ccw", "ccp", "question", "classify", "ke")
POOLINGS = ("mean", "lasttoken", "eos", "max", "weightedmean", "cls")
TYPES: dict[str, Any] = {
    "model": Checked("model", checks.check_decoder),
    "template": Checked("template", checks.check_template),
    "pooling": Checked("pooling", checks.check_pooling),
    "device": Checked("device", checks.check_device),
    "dtype": Choice("dtype", ("float32", "bfloat16")),
    "quantize": Choice("quantization", ("int8", "nf4")),
}
"""Name of an option → what its value may be."""
TRAINING_LIBRARIES = ("torch", "transformers.modeling_utils", "peft", "accelerate", "sklearn.cluster")


def together(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which help lists them."""
    return lambda function: reduce(lambda inner, decorator: decorator(inner), reversed(decorators), function)


def text_column(
    help: str = "column of the texts", default: str | None = "text", group: str = TEXTS
) -> Decorator:
    """`--text-column`."""
    return option("--text-column", group=group, default=default, metavar="NAME", help=help)


def label_column(
    help: str = "column of the labels", default: str | None = "label", group: str = TEXTS
) -> Decorator:
    """`--label-column`."""
    return option("--label-column", group=group, default=default, metavar="NAME", help=help)


def split(help: str = "use only the rows whose column `split` has this value", group: str = TEXTS) -> Decorator:
    """`--split`."""
    return option("--split", group=group, metavar="NAME", help=help)


def max_texts(default: int | None = None, help: str = "use a fixed sample of at most N texts") -> Decorator:
    """`--max-texts`."""
    return option("--max-texts", group=TEXTS, type=COUNT, default=default, metavar="N", help=help)


def seed(help: str, group: str = TEXTS) -> Decorator:
    """`--seed`."""
    return option("--seed", group=group, type=SEED, default=0, metavar="N", help=help)


def seeds(default: int | None, help: str, group: str) -> Decorator:
    """`--seeds`."""
    return option(
        "--seeds", group=group, type=click.IntRange(1, 100), default=default, metavar="N", help=help
    )


def template(help: str = "template of a base model", default: str | None = None) -> Decorator:
    """`--template`."""
    names = f"{', '.join(TEMPLATES)}, or a string with {{text}}"
    return option(
        "--template", group=MODEL, type=TYPES["template"], default=default, help=f"{help}: {names}"
    )


def pooling(help: str = "pooling of a base model", default: str | None = None) -> Decorator:
    """`--pooling`."""
    names = f"{', '.join(POOLINGS)}; NAME:text leaves out the template's tokens"
    return option("--pooling", group=MODEL, type=TYPES["pooling"], default=default, help=f"{help}: {names}")


def as_published(help: str) -> Decorator:
    """`--as-published`."""
    names = f"{', '.join(SWITCHES)} or all"
    kind = Choices("switch", (*SWITCHES, "all"))
    return option("--as-published", group="Scoring", type=kind, default="", metavar="A,B,…", help=f"{help}: {names}")


ENCODER = Checked("model", checks.check_encoder)
_ENCODERS = "mini, tfidf, sentence-transformers:NAME, or name or folder of a decoder"
encoder = option("--model", group=MODEL, required=True, type=ENCODER, help=_ENCODERS)
encoders = option("--model", "models", group=MODEL, multiple=True, required=True, type=ENCODER, help=f"{_ENCODERS}; repeatable")
drop_empty = option("--drop-empty", group=TEXTS, is_flag=True, help="leave out rows with empty or non-text cells")
dtype = option(
    "--dtype", group=MODEL, type=TYPES["dtype"],
    help="precision of the model  [default: the best precision that the device supports]",
)  # fmt: skip
batch_tokens = option(
    "--batch-tokens", group=MODEL, type=click.IntRange(1, 10**7), metavar="N",
    help="padded tokens in one pass; bounds the memory",
)  # fmt: skip
device = option(
    "--device", group=MODEL, type=TYPES["device"],
    help="cpu, cuda, cuda:1 or mps  [default: cuda, else mps, else cpu]",
)  # fmt: skip
as_json = option("--json", "as_json", group=OUTPUT, is_flag=True, help="print the result as JSON")
overwrite = option("--overwrite", group=OUTPUT, is_flag=True, help="replace existing output")
resume = option(
    "--resume", group=OUTPUT, is_flag=True, help="continue an interrupted run of the same settings"
)


def output(help: str, **attributes: Any) -> Decorator:
    """`--output`."""
    return option("--output", "-o", group=OUTPUT, type=NEW, metavar="PATH", help=help, **attributes)


def development(help: str) -> Decorator:
    """`--dev` and the columns of its files; `read_sets` reads what they name."""
    return together(
        option("--dev", group=DEVELOPMENT, multiple=True, metavar="FILE[:SPLIT]", help=help),
        text_column(group=DEVELOPMENT),
        label_column("column of the labels; each of several, A,B,…, makes a set of its own", group=DEVELOPMENT),
        split(group=DEVELOPMENT),
    )


def read_sets(
    dev: Sequence[str], text_column: str, label_column: str, split: str | None, *, drop_empty: bool = False
) -> dict[str, tuple[list[str], list[str]]]:
    """The development texts that the options of `development` name."""
    from lastword.evaluation.development import read_development

    return read_development(
        dev,
        text_column=text_column,
        label_columns=split_names(label_column),
        split=split,
        drop_empty=drop_empty,
    )


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
    several = declared == tuple[str, ...]
    kind = (typing.get_args(declared) or (declared,))[0]
    default = ",".join(field.default) if several and field.default else field.default
    shown = "" if default in (None, "", ()) else f"  [default: {default}]"
    return option(
        f"--{field.name.replace('_', '-')}",
        group=group,
        type=TYPES.get(field.name, kind if kind in (int, float) else str),
        default=None,
        metavar="A,B,…" if several else {int: "N", float: "X"}.get(kind),
        help=help + shown,
    )


def field_help(config: type) -> dict[str, str]:
    """Field → its description in the class's docstring."""
    text = (config.__doc__ or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {8}(\w+): (.+?)(?=^ {8}\w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(description.split()).rstrip(".") for name, description in entries}


def passed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only the options that are on the command line."""
    return {name: value for name, value in values.items() if value is not None}
