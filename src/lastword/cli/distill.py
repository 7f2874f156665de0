"""`lastword distill`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import TABLE, check_columns
from lastword.cli.command import command, option, print_result
from lastword.cli.options import ENCODER, shared
from lastword.files.sources import TableFile

_STUDENT = "Student"


@command(
    "lastword distill adapted --texts tickets.csv --text-column message --output student",
    "lastword distill smollm2 --template ccw --pooling lasttoken --texts notes.txt --output student",
)
@click.argument(
    "model", type=ENCODER, help="mini, sentence-transformers:NAME, or name or folder of a decoder"
)
@option(options.TEXTS, "--texts", "like those that it will embed", type=TABLE, metavar="FILE", required=True)
@shared("--text-column")
@shared("--max-texts", default=50_000)
@shared("--seed", help="seed of the sample and of the texts held out")
@shared("--drop-empty", "--encoding", "--delimiter")
@shared("--template", "--pooling", "--batch-tokens", "--dtype", "--device")
@option(
    _STUDENT, "--vocabulary", "most words and pieces of words", default=30_000, type=click.IntRange(1000, 10**7)
)  # fmt: skip
@option(
    _STUDENT, "--truncate-dim", "most dimensions of its vectors", default=256, type=click.IntRange(1, 100_000)
)  # fmt: skip
@shared("--output", help="folder to write, of sentence-transformers", required=True)
@shared("--overwrite", "--json")
def distill(texts: TableFile, as_json: bool, **settings: Any) -> None:
    """Make a static model, whose vectors are nearly those of a model and far cheaper.

    Each text gets the mean vector of its words. Use the folder with SentenceTransformer, or here as
    --model sentence-transformers:FOLDER.
    """
    from lastword.distillation.distill import check_distillation
    from lastword.distillation.distill import distill as run

    check_distillation(settings["model"], settings["vocabulary"], settings["truncate_dim"])
    check_columns(texts, [settings["text_column"]])
    print_result(run(texts=texts, **settings), as_json)
