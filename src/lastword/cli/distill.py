"""`lastword distill`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import TABLE, Choice, check_columns
from lastword.cli.command import command, option, print_result
from lastword.cli.options import ENCODER, shared
from lastword.files.sources import TableFile

_STUDENT = "Student"
STUDENTS = options.together(
    option(
        _STUDENT, "--student", "static: a vector for each word; shallow: the first layers of the model",
        type=Choice("student", ("static", "shallow")), default="static",
    ),
    option(
        _STUDENT, "--vocabulary", "static: most words and pieces of words  [default: 30000]",
        type=click.IntRange(1000, 10**7),
    ),
    option(
        _STUDENT, "--truncate-dim", "static: most dimensions of its vectors  [default: 256]",
        type=click.IntRange(1, 100_000),
    ),
    option(
        _STUDENT, "--layer", "shallow: number of layers to keep  [default: a fourth of them]",
        type=click.IntRange(1, 1000), show_range=False,
    ),
    option(
        _STUDENT, "--steps", "shallow: optimizer steps with 32 texts each  [default: ten times through the texts]",
        type=click.IntRange(1, 1_000_000),
    ),
)  # fmt: skip
"""The kind and size of a student, for distilling and for its plan."""


@command(
    "lastword distill adapted --texts tickets.csv --text-column message --output student",
    "lastword distill adapted --student shallow --layer 2 --texts notes.txt --output student",
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
@STUDENTS
@shared("--output", help="folder to write, of sentence-transformers", required=True)
@shared("--resume", "--overwrite", "--json")
def distill(texts: TableFile, as_json: bool, **settings: Any) -> None:
    """Make a static or shallow student, whose vectors are nearly those of a model and cheaper.

    A static one gives each text the mean vector of its words; a shallow one has the first layers of the model. Use
    the folder with SentenceTransformer, or here: a static one as --model sentence-transformers:FOLDER, a shallow
    one as --model FOLDER.
    """
    from lastword.distillation.distill import check_distillation
    from lastword.distillation.distill import distill as run

    own = ("vocabulary", "truncate_dim", "layer", "steps")
    check_distillation(
        settings["model"], settings["student"], {name: settings[name] for name in own},
        settings["template"], settings["pooling"],
    )  # fmt: skip
    check_columns(texts, [settings["text_column"]])
    print_result(run(texts=texts, **settings), as_json)
