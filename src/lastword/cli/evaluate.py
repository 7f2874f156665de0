"""`lastword evaluate`."""

from __future__ import annotations

import json
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import Choice, check_columns
from lastword.cli.command import Command, option
from lastword.extras import load_libraries

_SCORING = "Scoring"


@click.command(
    cls=Command,
    examples=(
        "lastword evaluate tickets.csv --label-column topic --model adapted --model mini",
        "lastword evaluate pairs.csv --task sts --model adapted",
    ),
)
@click.argument("data", metavar="FILE", help="texts; for a retrieval a folder; or the bundled topics or products")
@option(
    "--task", group=_SCORING, default="clustering",
    type=Choice("task", ("clustering", "classification", "sts", "retrieval")), help="what is scored",
)  # fmt: skip
@option("--train-split", group=_SCORING, default="train", metavar="NAME", help="split that a classification learns from")
@option(
    "--samples-per-label", group=_SCORING, type=click.IntRange(1, 10_000), default=8, metavar="N",
    help="training texts of each label in a classification",
)  # fmt: skip
@options.as_published("score as the paper's own code does")
@options.text_column("column of the texts; two, A,B, for sts  [default: text]", default=None)
@options.label_column()
@option("--score-column", group=options.TEXTS, default="score", metavar="NAME", help="column of the scores of pairs")
@options.split()
@options.max_texts()
@options.seed("seed of the sample")
@options.drop_empty
@options.encoders
@options.template()
@options.pooling()
@options.batch_tokens
@options.dtype
@options.device
@option("--cache", group="Model", type=options.NEW, metavar="PATH", help="folder of cached vectors")
@options.as_json
def evaluate(models: tuple[str, ...], data: str, as_json: bool, **settings: Any) -> None:
    """Score models on texts of your own, by the protocols of MTEB.

    Clustering gives the V-measure of k-means against the labels; classification the accuracy of a
    logistic regression on a few texts of each label; sts Spearman's correlation of cosine and score;
    retrieval nDCG@10. TF-IDF and chance are always in the table.
    """
    if settings["task"] in ("clustering", "classification"):
        check_columns(data, [settings["text_column"] or "text", settings["label_column"]])
    load_libraries("torch", "transformers.modeling_utils", "sentence_transformers", "mteb")
    from lastword.evaluation import evaluate as run

    results = [run(model, data, **settings) for model in models]
