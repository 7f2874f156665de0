"""`lastword whiten`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import TABLE, Choice, check_columns
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.files.sources import TableFile

METHODS = ("whitening", "all-but-the-top", "centre")
_LAYER = "Layer"


@command(
    "lastword whiten smollm2 --texts tickets.csv --text-column message --output whitened",
    "lastword whiten mini --template ccw --pooling lasttoken --texts notes.txt --truncate-dim 64 --output whitened",
)
@click.argument(
    "model",
    type=options.TYPES["model"],
    help="mini, smollm2, smollm2-adapted; or a decoder's name or folder",
)
@option(
    options.TEXTS, "--texts", "that the layer is fitted to, like those that it will embed", type=TABLE, metavar="FILE",
    required=True,
)  # fmt: skip
@shared("--text-column", "--drop-empty", "--encoding", "--delimiter")
@shared("--template", "--pooling", "--device")
@option(
    _LAYER, "--method",
    "whitening: variance 1 in all directions; all-but-the-top: without the few of the largest variance; centre: mean 0",
    type=Choice("method", METHODS), default="whitening",
)  # fmt: skip
@option(
    _LAYER, "--truncate-dim", "of whitening: keep the directions of the largest variance",
    type=click.IntRange(1, 100_000),
)  # fmt: skip
@shared("--output", help="folder to write, of sentence-transformers", required=True)
@shared("--overwrite", "--json")
def whiten(texts: TableFile, as_json: bool, **settings: Any) -> None:
    """Write a model followed by a linear layer that makes all directions of its vectors count alike.

    For a model without contrastive training, whose vectors are all similar. Use the folder with SentenceTransformer, or
    here as --model sentence-transformers:FOLDER.
    """
    from lastword.whitening import check_whitening
    from lastword.whitening import whiten as run

    check_whitening(**options.taken(check_whitening, settings))
    check_columns(texts, [settings["text_column"]])
    print_result(run(texts=texts, **settings), as_json)
