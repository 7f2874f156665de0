"""`lastword merge`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli.checks import Choice, Finite, Several
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.merging import METHODS


@command(
    "lastword merge adapted-on-titles adapted-on-questions --output merged",
    "lastword merge adapted/training/step-000040 adapted/training/step-000060 --method spherical --output merged",
)
@click.argument("models", metavar="MODEL…", nargs=-1, help="folders of adapted models, or of adapters")
@option(
    "Merging", "--method", "average of the weights, or spherical: on the arc of their differences from the base model",
    default="average", type=Choice("method", METHODS),
)  # fmt: skip
@option(
    "Merging", "--weights", "share of each model  [default: equal shares]", type=Several(Finite(1e-6, 1e6)),
    metavar="A,B,…",
)  # fmt: skip
@shared("--template", help="of adapters that do not say")
@shared("--pooling", help="of adapters that do not say")
@shared("--output", required=True)
@shared("--overwrite", "--json")
def merge(models: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Merge models that were adapted from the same base model into one.

    All must embed in the same way. The folder loads in sentence-transformers as it is.
    """
    from lastword.merging import check_merging
    from lastword.merging import merge as run

    check_merging(models, settings["method"], settings["weights"])
    print_result(run(models, **settings), as_json)
