"""`lastword plan`: what other commands will cost."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import TABLE, Size, check_training
from lastword.cli.command import Group, command, option, print_result
from lastword.cli.embed import STORED
from lastword.cli.options import shared
from lastword.cli.train import GROUPS
from lastword.config import TrainConfig, read_recipe
from lastword.files.sources import TableFile

GPU = option(
    "Machine", "--gpu-memory", "plan for a GPU of this size, such as 24GiB; its speed is not known", type=Size(),
    metavar="SIZE",
)  # fmt: skip
DEVICE = shared("--device", group="Machine")


@click.group(
    cls=Group,
    examples=(
        "lastword plan embed tickets.parquet --model adapted",
        "lastword plan train --recipe paper --model Qwen/Qwen3-0.6B --gpu-memory 24GiB",
    ),
)
def plan() -> None:
    """Forecast the memory, time and disk of embedding or training, and whether it fits.

    Only the configuration and the tokenizer of the model are read. Time is measured for a few seconds on this machine,
    on a few layers of the model's widths with random weights.
    """


@command(
    "lastword plan embed tickets.csv --text-column message --model adapted",
    "lastword plan embed 'data/*.parquet' --model smollm2 --gpu-memory 24GiB",
    name="embed",
)
@click.argument(
    "inputs", metavar="INPUT…", type=TABLE, nargs=-1, required=True, help="as for lastword embed",
)  # fmt: skip
@shared("--text-column", "--encoding", "--delimiter")
@shared("--model", default="mini")
@shared("--template", "--pooling", "--batch-tokens", "--dtype")
@STORED
@DEVICE
@GPU
@shared("--json")
def embed(inputs: tuple[TableFile, ...], as_json: bool, **settings: Any) -> None:
    """Forecast the memory, time and disk of `lastword embed`.

    Tokens are counted on the first 4,096 texts.
    """
    from lastword.corpus.texts import Corpus

    Corpus.find(inputs, settings["text_column"])
    from lastword.planning import plan_embedding

    print_result(plan_embedding(inputs, **settings), as_json, str)


@command(
    "lastword plan train --recipe small --pairs pairs.parquet",
    "lastword plan train --model Qwen/Qwen3-0.6B --pairs pairs.parquet --gpu-memory 24GiB",
    name="train",
)
@option("Model", "--recipe", "mini, small, paper, or a TOML file of settings; flags override it")
@options.settings(TrainConfig, GROUPS)
@shared("--drop-empty")
@DEVICE
@GPU
@shared("--json")
def train(recipe: str | None, as_json: bool, **settings: Any) -> None:
    """Forecast the memory, time and disk of `lastword train`.

    The time includes the scoring of checkpoints by pairs held out, not by texts of --dev.
    """
    flags = {name: settings.pop(name) for name in TrainConfig.__dataclass_fields__}
    values = {**(read_recipe(recipe) if recipe else {}), **options.passed(flags)}
    values.pop("as_published", None)
    check_training(values)
    from lastword.planning import plan_training

    print_result(plan_training(**settings, **values), as_json, str)


plan.add_command(embed)
plan.add_command(train)
