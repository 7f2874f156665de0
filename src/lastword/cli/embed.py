"""`lastword embed`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import Choice
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.files.sources import TableFile

VECTORS, MACHINES = "Vectors", "Machines"
LAYOUTS = ("parquet", "arrow", "npy", "lance")
VECTOR_DTYPES = ("float32", "float16", "int8", "binary")

STORED = options.together(
    option(
        VECTORS, "--vector-dtype", "how vectors are stored; binary keeps the signs", default="float32",
        type=Choice("vector_dtype", VECTOR_DTYPES),
    ),
    option(
        VECTORS, "--truncate-dim", "keep only the first dimensions, scaled to length 1 again",
        type=click.IntRange(1, 100_000),
    ),
)  # fmt: skip
"""How vectors are stored, for embedding and for its plan."""
PER_WINDOW = option(
    options.MODEL, "--per-window", "a row and a vector for each window of a long text, with its place in the text",
    is_flag=True,
)  # fmt: skip


@command(
    "lastword embed tickets.csv --text-column message --model adapted --output vectors",
    "lastword embed 'data/*.parquet' --model adapted --vector-dtype int8 --output vectors --resume",
)
@options.inputs(
    "Parquet, Arrow, CSV, TSV, JSON, Excel, plain lines; patterns; -; s3://…, hf://datasets/…; topics, products"
)
@shared("--text-column", "--encoding", "--delimiter")
@options.models(
    default="mini", required=False, help="mini, sentence-transformers:NAME, or name or folder of a decoder"
)
@shared("--template", "--pooling", "--long-texts")
@PER_WINDOW
@shared("--batch-tokens", "--dtype", "--device")
@option(VECTORS, "--vector-column", "column to add", default="vector")
@STORED
@option(
    MACHINES, "--engine", "ray embeds with several processes or machines", default="local",
    type=Choice("engine", ("local", "ray")),
)  # fmt: skip
@option(
    MACHINES, "--workers", "of Ray: processes with the model  [default: one for each GPU, or 2]",
    type=click.IntRange(1, 10_000),
)  # fmt: skip
@option(MACHINES, "--ray-address", "of a Ray cluster, such as auto  [default: workers on this machine]")
@shared("--output", help="folder to write: all columns and vectors, and _manifest.json", required=True)
@option(
    options.OUTPUT, "--format layout", "of the files; npy has the other columns as Parquet, lance is a LanceDB table",
    default="parquet", type=Choice("format", LAYOUTS),
)  # fmt: skip
@option(options.OUTPUT, "--update", "embed only texts that the existing output does not have", is_flag=True)
@shared("--resume", help="continue an interrupted run; texts embedded before are not embedded again")
@shared("--overwrite", "--json")
def embed(inputs: tuple[TableFile, ...], as_json: bool, **settings: Any) -> None:
    """Embed the texts of files of any size, and write vectors and rows to a folder.

    Memory does not grow with the files. Rows without a usable text are listed in _rejected.jsonl. Readers of Parquet
    take the folder as one table; lastword.Store reads the vectors.
    """
    from lastword.corpus.embed import check_machines, check_request, embed_corpus
    from lastword.corpus.texts import Corpus

    check_request(**options.taken(check_request, settings))
    check_machines(**options.taken(check_machines, settings))
    Corpus.find(inputs, settings["text_column"], settings["vector_column"])
    print_result(embed_corpus(inputs, **settings), as_json)
