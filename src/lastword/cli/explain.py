"""`lastword explain`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import COUNT, FILE, FOLDER, check_columns
from lastword.cli.command import Command, option, print_result
from lastword.errors import RequestError


@click.command(
    cls=Command,
    examples=(
        "lastword explain tickets.csv --model mini --model adapted --output explained",
        'lastword explain tickets.csv --checkpoints adapted --text "a man is driving a car"',
    ),
)
@click.argument("data", metavar="FILE", help="texts: Parquet, CSV, TSV, JSON lines, plain lines; or topics, products")
@options.text_column()
@option("--positive-column", group="Texts", metavar="NAME", help="column of texts with the same meaning, for the alignment")
@options.label_column("column of the labels: shows the nearest words of each label", default=None)
@options.max_texts(200)
@options.seed("seed of the sample, the intervals and the clusters")
@options.drop_empty
@option(
    "--model", "models", group="Model", multiple=True, type=options.TYPES["model"],
    help="name or folder of a model; repeatable",
)  # fmt: skip
@option(
    "--checkpoints", group="Model", type=FOLDER, help="folder of a training run: its base model and every checkpoint"
)
@options.template("template of all models; by default each its own, base models the others'")
@options.pooling("pooling of all models; by default as for --template")
@options.batch_tokens
@options.dtype
@options.device
@option("--text", "texts", group="Report", multiple=True, help="show this text token by token; repeatable")
@option(
    "--clusters", group="Report", type=click.IntRange(1, 10_000), metavar="K",
    help="show the nearest words of K clusters, instead of labels",
)  # fmt: skip
@option("--words", group="Report", type=click.IntRange(1, 1000), default=8, metavar="N", help="nearest words of a vector")
@option("--stop-words", group="Report", type=FILE, help="words that are not content words, one on each line  [default: English ones]")
@options.output("folder for explain.json, attention.svg and explain.html")
@options.overwrite
@options.as_json
def explain(data: str, models: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Show what models attend to and how their vectors are distributed, side by side.

    For a sample of texts: what the attention of the last token falls on, layer by layer and head by head;
    how much of it are content words; the geometry of the vectors; and the words that the model's own output
    head finds nearest to them.
    """
    if not models and not settings["checkpoints"]:
        raise RequestError("nothing to explain: give --model, or --checkpoints with the folder of a training run")
    columns = [settings[name] for name in ("text_column", "positive_column", "label_column") if settings[name]]
    check_columns(data, columns)
    load_libraries("torch", "transformers.modeling_utils", "sklearn.cluster")
    from lastword.explanation import explain as run
    from lastword.explanation.table import explanation_table

    print_result(run(data, models, **settings), as_json, explanation_table)
