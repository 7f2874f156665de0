"""`lastword plan`: what other commands will cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import FOLDER, TABLE, Size, check_training
from lastword.cli.cluster import GROUPING, MAP_TEXTS, MAPPED
from lastword.cli.command import Group, command, option, print_result
from lastword.cli.distill import STUDENTS
from lastword.cli.embed import PER_WINDOW, STORED
from lastword.cli.options import shared
from lastword.cli.search import MATCHES
from lastword.cli.train import GROUPS
from lastword.config import TrainConfig, read_recipe
from lastword.files.sources import TableFile

GPU = option(
    "Machine", "--gpu-memory", "plan for a GPU of this size, such as 24GiB; its speed is not known", type=Size(),
    metavar="SIZE",
)  # fmt: skip
DEVICE = shared("--device", group="Machine")
_FILES = click.argument(
    "inputs", metavar="INPUT…", type=TABLE, nargs=-1, required=True, help="as for lastword embed",
)  # fmt: skip


@click.group(
    cls=Group,
    examples=(
        "lastword plan embed tickets.parquet --model adapted",
        "lastword plan train --recipe paper --model Qwen/Qwen3-0.6B --gpu-memory 24GiB",
    ),
)
def plan() -> None:
    """Forecast the memory, time and disk of other commands, and whether they fit.

    Only the configuration and the tokenizer of the model are read. Time is measured for a few seconds on this machine,
    on a few layers of the model's widths with random weights.
    """


@command(
    "lastword plan embed tickets.csv --text-column message --model adapted",
    "lastword plan embed 'data/*.parquet' --model smollm2 --gpu-memory 24GiB",
    name="embed",
)
@_FILES
@shared("--text-column", "--encoding", "--delimiter")
@shared("--model", default="mini")
@shared("--template", "--pooling", "--long-texts")
@PER_WINDOW
@shared("--batch-tokens", "--dtype")
@STORED
@DEVICE
@GPU
@shared("--json")
def embed(inputs: tuple[TableFile, ...], as_json: bool, **settings: Any) -> None:
    """Forecast the memory, time and disk of `lastword embed`.

    Tokens are counted on the first 4,096 texts.
    """
    from lastword.corpus.embed import check_request
    from lastword.corpus.texts import Corpus

    check_request(layout="parquet", update=False, overwrite=False, **options.taken(check_request, settings))
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


@command(
    "lastword plan cluster tickets.csv --text-column message --model adapted",
    "lastword plan cluster 'data/*.parquet' --groups 20 --map pca",
    name="cluster",
)
@_FILES
@shared("--text-column", "--encoding", "--delimiter")
@shared("--model", default="mini")
@shared("--template", "--pooling", "--batch-tokens", "--dtype")
@GROUPING
@MAPPED
@MAP_TEXTS
@DEVICE
@GPU
@shared("--json")
def cluster(inputs: tuple[TableFile, ...], as_json: bool, **settings: Any) -> None:
    """Forecast the memory, time and disk of `lastword cluster` by k-means.

    The time of embedding, of finding groups and of the map are listed apart.
    """
    from lastword.corpus.texts import Corpus

    Corpus.find(inputs, settings["text_column"])
    from lastword.planning import plan_clustering

    print_result(plan_clustering(inputs, **settings), as_json, str)


@command(
    "lastword plan adapt tickets.csv --text-column message",
    "lastword plan adapt products.parquet --label-column category --model smollm2 --gpu-memory 24GiB",
    name="adapt",
)
@_FILES
@shared("--text-column")
@shared("--label-column", default=None, help="column of labels, which choose and compare")
@shared("--max-texts", default=10_000, help="size of the sample that is trained on and compared with")
@shared("--encoding", "--delimiter")
@shared("--model", default=None, help="name or folder of a decoder  [default: that of the recipe, or mini]")
@option(
    "Model", "--recipe", "mini, small, paper, or a TOML file of settings  [default: the one for the model]"
)
@shared("--batch-tokens", "--dtype")
@GROUPING
@MAPPED
@DEVICE
@GPU
@shared("--json")
def adapt(
    inputs: tuple[TableFile, ...],
    as_json: bool,
    map: str,
    batch_tokens: int | None,
    dtype: str | None,
    device: str | None,
    gpu_memory: float | None,
    **settings: Any,
) -> None:
    """Forecast the memory, time and disk of `lastword adapt`.

    The stages are listed apart. Further models to compare with, and rewritings by a chat model, are not counted.
    """
    from lastword.adaptation.request import check_request

    request = check_request(inputs, Path("adapted"), map=map, **settings)
    from lastword.adaptation.forecast import plan_adaptation

    plan = plan_adaptation(
        request, map=map, batch_tokens=batch_tokens, dtype=dtype, device=device, gpu_memory=gpu_memory
    )
    print_result(plan, as_json, str)


@command(
    "lastword plan evaluate tickets.csv --text-column message --model adapted",
    "lastword plan evaluate notes.txt --model smollm2 --max-texts 5000",
    name="evaluate",
)
@click.argument("data", metavar="FILE", type=TABLE, help="texts, or the bundled topics or products")
@shared("--text-column", "--max-texts", "--encoding", "--delimiter")
@shared("--model", default="mini")
@shared("--template", "--pooling", "--batch-tokens", "--dtype")
@DEVICE
@GPU
@shared("--json")
def evaluate(data: TableFile, as_json: bool, **settings: Any) -> None:
    """Forecast the memory and time of `lastword evaluate` for a clustering with one model.

    The other tasks score quicker.
    """
    from lastword.corpus.texts import Corpus

    Corpus.find([data], settings["text_column"])
    from lastword.planning import plan_evaluation

    print_result(plan_evaluation(data, **settings), as_json, str)


@command(
    "lastword plan distill adapted --texts tickets.csv --text-column message",
    "lastword plan distill smollm2 --texts notes.txt --student shallow --layer 6",
    name="distill",
)
@click.argument("model", type=options.TYPES["model"], help="name or folder of a decoder")
@option(options.TEXTS, "--texts", "like those that it will embed", type=TABLE, metavar="FILE", required=True)
@shared("--text-column")
@shared("--max-texts", default=50_000)
@shared("--encoding", "--delimiter")
@shared("--template", "--pooling", "--batch-tokens", "--dtype")
@STUDENTS
@DEVICE
@GPU
@shared("--json")
def distill(model: str, texts: TableFile, as_json: bool, **settings: Any) -> None:
    """Forecast the memory, time and disk of `lastword distill`.

    The texts through the model are listed apart from the words through it and fitting, or from training.
    """
    from lastword.corpus.texts import Corpus
    from lastword.distillation.distill import check_distillation

    own = {name: settings[name] for name in ("vocabulary", "truncate_dim", "layer", "steps")}
    check_distillation(model, settings["student"], own, settings["template"], settings["pooling"])
    Corpus.find([texts], settings["text_column"])
    from lastword.planning import plan_distillation

    print_result(plan_distillation(model, texts, **settings), as_json, str)


@command(
    "lastword plan search vectors --queries 1000",
    "lastword plan search vectors --queries 100 --rerank smollm2",
    name="search",
)
@click.argument("store", metavar="STORE", type=FOLDER, help="folder that lastword embed wrote")
@option("Queries", "--queries", "number of them", type=click.IntRange(1, 10**9), default=1)
@option("Queries", "--tokens", "of each query", type=click.IntRange(1, 100_000), default=16)
@MATCHES
@options.models(
    default=None, required=False, help="where the model of the store is now  [default: where it was]"
)
@DEVICE
@GPU
@shared("--json")
def search(store: Path, as_json: bool, **settings: Any) -> None:
    """Forecast the memory and time of `lastword search`.

    The queries through the model, comparing them with the rows, and reading the best rows again are listed apart.
    """
    from lastword.corpus.search import check_search

    given = {name: settings[name] for name in ("rescore", "rerank", "model")}
    check_search(store, "a query", **given)
    from lastword.planning import plan_search

    print_result(plan_search(store, **settings), as_json, str)


@command(
    "lastword plan serve adapted --requests 500",
    "lastword plan serve Qwen/Qwen3-0.6B --requests 1000 --tokens 256 --gpu-memory 24GiB",
    name="serve",
)
@click.argument("model", type=options.TYPES["model"], help="name or folder of a decoder")
@option(
    "Requests", "--requests", "that wait together, with one text each", type=click.IntRange(1, 10**6), default=100
)  # fmt: skip
@option("Requests", "--tokens", "of each text", type=click.IntRange(1, 100_000), default=64)
@shared("--template", "--pooling", "--batch-tokens", "--dtype")
@DEVICE
@GPU
@shared("--json")
def serve(model: str, as_json: bool, **settings: Any) -> None:
    """Forecast the memory of `lastword serve` while so many requests wait, and the time to answer them.

    Of several models, each has its own weights.
    """
    from lastword.planning import plan_serving

    print_result(plan_serving(model, **settings), as_json, str)


for each in (embed, train, cluster, adapt, evaluate, distill, search, serve):
    plan.add_command(each)
