"""The commands that make pairs without a language model that generates: one for each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastword.augment import NOISES
from lastword.cli import options
from lastword.cli.checks import TABLE, Choice, Finite, Several, check_columns, check_pairs_output, split_names
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.errors import RequestError
from lastword.files.sources import TableFile

if TYPE_CHECKING:
    from lastword.pairs import Method

METHOD = "Method"
WORDS = click.IntRange(1, 1_000_000)
PRESETS = ("nli", "sts", "duplicates", "title")

common = options.together(
    click.argument(
        "file", type=TABLE, help="texts: Parquet, CSV, TSV, JSON, Excel, plain lines; or hub:OWNER/NAME"
    ),
    shared("--drop-empty", "--encoding", "--delimiter"),
    shared("--seed", group=METHOD, help="seed of everything that is drawn"),
    shared("--output", help="file to write: .parquet, .jsonl or .csv", required=True),
    shared("--resume", "--overwrite", "--json"),
)
"""Options of all methods."""


def run(method: Method, file: TableFile, output: Path, seed: int, as_json: bool, **settings: bool) -> None:
    """Make the pairs and print the counts."""
    from lastword.pairs import make_pairs

    print_result(make_pairs(method, file, output, seed=seed, **settings), as_json)


def check(file: TableFile, output: Path, columns: Sequence[str]) -> None:
    """Refuse an output with another ending, and a file without the columns."""
    check_pairs_output(output)
    check_columns(file, columns)


@command(
    "lastword pairs translate notes.csv --text-column note --output pairs.parquet",
    "lastword pairs translate notes.csv --via de,fr --engine ctranslate2 --output pairs.parquet",
)
@shared("--text-column")
@common
@option(METHOD, "--via", "pivot languages; each makes a pair", default="de", metavar="A,B,…")
@option(METHOD, "--language", "language of the texts", default="en")
@option(METHOD, "--models", "names or folders of the models, with {source} and {target} in them")
@option(
    METHOD, "--engine", "ctranslate2 is faster on a CPU", default="transformers",
    type=Choice("engine", ("transformers", "ctranslate2")),
)  # fmt: skip
def translate(
    text_column: str, via: str, language: str, models: str | None, engine: str, **settings: Any
) -> None:
    """Translate each text to another language and back."""
    check(settings["file"], settings["output"], [text_column])
    from lastword.pairs.translating import MODELS, BackTranslation, load_translators

    translators = load_translators(split_names(via), language, models or MODELS, engine)
    run(BackTranslation(translators, text_column), **settings)


@command(
    "lastword pairs noise notes.csv --text-column note --output pairs.parquet",
    "lastword pairs noise notes.txt --kinds delete,swap --side both --output pairs.jsonl",
)
@shared("--text-column")
@common
@option(
    METHOD, "--kinds", f"kinds of noise, in this order: {', '.join(NOISES)}", default=",".join(NOISES),
    type=Several(Choice("noise", NOISES)),
)  # fmt: skip
@option(
    METHOD, "--side", "what gets the noise", default="positive", type=Choice("side", ("positive", "both")),
)  # fmt: skip
def noise(text_column: str, kinds: tuple[str, ...], side: str, **settings: Any) -> None:
    """Pair each text with a slightly changed copy."""
    check(settings["file"], settings["output"], [text_column])
    from lastword.pairs import Noise

    run(Noise(text_column, kinds, side), **settings)


@command(
    "lastword pairs crop articles.jsonl --per-document 3 --output pairs.parquet",
    "lastword pairs crop notes.csv --text-column note --mode sentences --output pairs.parquet",
)
@shared("--text-column")
@common
@option(METHOD, "--mode", "what a piece is", default="spans", type=Choice("mode", ("spans", "sentences")))
@option(METHOD, "--min-words", "shortest piece", type=WORDS, default=5)
@option(METHOD, "--max-words", "longest piece", type=WORDS, default=60)
@option(METHOD, "--per-document", "most pairs of a document", type=click.IntRange(1, 10_000), default=1)
def crop(
    text_column: str, mode: str, min_words: int, max_words: int, per_document: int, **settings: Any
) -> None:
    """Pair two pieces of each document, for texts without labels of any kind."""
    from lastword.pairs import Crop

    method = Crop(text_column, mode, min_words, max_words, per_document)
    check(settings["file"], settings["output"], [text_column])
    run(method, **settings)


@command(
    "lastword pairs labels tickets.csv --text-column message --label-column topic --output pairs.parquet",
    "lastword pairs labels topics --no-negatives --output pairs.parquet",
)
@shared("--text-column", "--label-column")
@common
@option(METHOD, "--no-negatives", "draw no hard negative from another label", is_flag=True)
def labels(text_column: str, label_column: str, no_negatives: bool, **settings: Any) -> None:
    """Pair texts of the same label; the hard negative has another label."""
    check(settings["file"], settings["output"], [text_column, label_column])
    from lastword.pairs import SameLabel

    run(
        SameLabel(settings["file"], text_column, label_column, not no_negatives, settings["seed"]), **settings
    )


@command(
    "lastword pairs import sts.parquet --preset sts --min-score 4 --output pairs.parquet",
    "lastword pairs import posts.jsonl --anchor-column title --positive-column body --output pairs.parquet",
    name="import",
)
@common
@option(METHOD, "--preset", "columns of a known kind of data", type=Choice("preset", PRESETS))
@option(options.TEXTS, "--anchor-column", "column of the anchors  [default: anchor]")
@option(options.TEXTS, "--positive-column", "column of the positives  [default: positive]")
@option(
    options.TEXTS,
    "--negative-column",
    "column of hard negatives; also NAME_1, NAME_2, …  [default: negative]",
)
@option(options.TEXTS, "--score-column", "column of similarities")
@option(METHOD, "--min-score", "lowest score that counts as a positive", type=Finite(-1e9, 1e9))
def import_(preset: str | None, min_score: float | None, **settings: Any) -> None:
    """Import pairs from any two columns, with or without hard negatives and scores."""
    from lastword.pairs import PRESETS, Import

    roles = ("anchor", "positive", "negative", "score")
    columns = {f"{role}_column": settings.pop(f"{role}_column") for role in roles}
    values = (dict(PRESETS[preset]) if preset else {}) | options.passed({**columns, "min_score": min_score})
    if values.get("score_column") and "min_score" not in values:
        raise RequestError(
            f"column {values['score_column']!r} has scores: pass min_score=…, the lowest that counts as a positive"
        )
    method = Import(**values)
    check(
        settings["file"], settings["output"], [n for n, kind in method.columns.items() if kind != "negatives"]
    )
    run(method, **settings)


@command(
    "lastword pairs dropout notes.txt --output pairs.parquet",
    "lastword pairs dropout notes.csv --text-column note --drop-empty --output pairs.parquet",
)
@shared("--text-column")
@common
def dropout(text_column: str, **settings: Any) -> None:
    """Pair each text with itself, as in SimCSE: dropout in training makes the difference."""
    check(settings["file"], settings["output"], [text_column])
    from lastword.pairs import SameText

    run(SameText(text_column), **settings)


@command(
    "lastword pairs neighbours notes.csv --text-column note --model adapted --output pairs.parquet",
    "lastword pairs neighbours titles.txt --model tfidf --most 50000 --output pairs.parquet",
)
@shared("--text-column")
@common
@options.models(default="mini", required=False, help="finds the neighbours: as for `lastword evaluate`")
@shared("--template", "--pooling", "--batch-tokens", "--dtype", "--device")
@option(
    METHOD,
    "--most",
    "texts that are compared, the first ones",
    default=100_000,
    type=click.IntRange(2, 10**6),
)
def neighbours(
    text_column: str, model: str, most: int, batch_tokens: int | None, template: str | None, pooling: str | None,
    dtype: str | None, device: str | None, **settings: Any,
) -> None:  # fmt: skip
    """Pair texts that are near to each other by a model and by their words, without near-duplicates."""
    check(settings["file"], settings["output"], [text_column])
    from lastword.encoders.by_name import load_encoder, with_batches
    from lastword.pairs import Neighbours

    encoder = load_encoder(model, template=template, pooling=pooling, dtype=dtype, device=device)
    run(Neighbours(settings["file"], with_batches(encoder, batch_tokens), text_column, most), **settings)


COMMANDS = (translate, noise, crop, neighbours, labels, import_, dropout)
