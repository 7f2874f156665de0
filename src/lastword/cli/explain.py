"""`lastword explain`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli.checks import FILE, FOLDER, TABLE, check_columns
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.console import load_libraries
from lastword.errors import RequestError
from lastword.files.sources import TableFile


@command(
    "lastword explain tickets.csv --text-column message --model mini --model adapted --output explained",
    'lastword explain tickets.csv --text-column message --checkpoints adapted --text "a man is driving a car"',
)
@click.argument(
    "data", metavar="FILE", type=TABLE,
    help="texts: Parquet, CSV, TSV, JSON, Excel, plain lines; or topics, products",
)  # fmt: skip
@shared("--text-column")
@option("Texts", "--positive-column", "column of texts with the same meaning, for the alignment")
@shared("--label-column", help="column of the labels: shows the nearest words of each label", default=None)
@shared("--max-texts", default=200)
@shared("--seed", help="seed of the sample and of the clusters")
@shared("--drop-empty", "--encoding", "--delimiter")
@shared("--model", dest="models", help="name or folder of a model; repeatable", multiple=True)
@option(
    "Model", "--checkpoints", "folder of a training run: its base model and every checkpoint", type=FOLDER,
)  # fmt: skip
@shared("--template", help="template of all models; by default each its own, base models the others'")
@shared("--pooling", help="pooling of all models; by default as for --template")
@shared("--batch-tokens", "--dtype", "--device")
@option("Report", "--text texts", "show this text token by token; repeatable", multiple=True)
@option(
    "Report", "--clusters", "show the nearest words of K clusters, instead of labels",
    type=click.IntRange(1, 10_000), metavar="K",
)  # fmt: skip
@option("Report", "--words", "nearest words of a vector", type=click.IntRange(1, 1000), default=8)
@option(
    "Report", "--stop-words", "words that are not content words, one on each line  [default: English ones]",
    type=FILE,
)  # fmt: skip
@shared("--output", help="folder for explain.json, attention.svg and explain.html")
@shared("--overwrite", "--json")
def explain(data: TableFile, models: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Show what models attend to and how their vectors are distributed, side by side.

    For a sample of texts: what the attention of the last token falls on, layer by layer and head by head;
    how much of it are content words; the geometry of the vectors; and the words that the model's own output
    head finds nearest to them.
    """
    if not models and not settings["checkpoints"]:
        raise RequestError(
            "nothing to explain: give --model, or --checkpoints with the folder of a training run"
        )
    columns = [settings[f"{kind}_column"] for kind in ("text", "positive", "label")]
    check_columns(data, [column for column in columns if column])
    if settings["clusters"] is not None and settings["label_column"]:
        raise RequestError("--clusters and --label-column: give only one of them")
    load_libraries("torch", "transformers.modeling_utils", "sklearn.cluster")
    from lastword.explanation import explain as run
    from lastword.explanation.table import explanation_table

    print_result(run(data, models, **settings), as_json, explanation_table)
