"""The commands that use pairs: check, mine, compare."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from lastword.bundled import PATHS
from lastword.cli import options
from lastword.cli.checks import (
    NEW,
    TABLE,
    Checked,
    Finite,
    check_columns,
    check_issue,
    check_output,
    check_pairs_output,
    check_training,
)  # fmt: skip
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.config import read_recipe
from lastword.console import load_libraries
from lastword.files.sources import TableFile

_CHECKS, _NEGATIVES, _RUNS = "Checks", "Negatives", "Training runs"
_RANK = click.IntRange(0, 1_000_000)


@command(
    "lastword pairs check pairs.parquet --evaluation test.parquet --report issues.html",
    'lastword pairs check titles.parquet --fix better.parquet --allow "different lengths"',
)
@click.argument("file", type=TABLE, help="pairs: Parquet, JSON, CSV, TSV or Excel; or the bundled pairs")
@shared("--anchor-column", "--positive-column", "--encoding", "--delimiter")
@option(
    _CHECKS, "--evaluation", "file of texts that must not be among the pairs; repeatable", type=TABLE,
    multiple=True,
)  # fmt: skip
@option(_CHECKS, "--evaluation-column", "column of these texts", default="text", needs="evaluation")
@option(_CHECKS, "--batch-pairs", "size of a training batch", type=click.IntRange(2, 10**6), default=120)
@option(_CHECKS, "--no-similarity", "skip the checks that need an embedder", is_flag=True)
@shared("--model", help="embedder that measures how similar the sides are", default="mini")
@shared("--template", help=f"template of a base model: {options.NAMES['template']}  [default: ccw]")
@shared("--pooling", help=f"pooling of a base model: {options.NAMES['pooling']}  [default: mean]")
@option(options.OUTPUT, "--fix", "write the remaining, corrected pairs to this file", type=NEW)
@option(
    options.OUTPUT, "--allow", "an issue that --fix ignores; repeatable", multiple=True,
    needs="fix", type=Checked("issue", check_issue),
)  # fmt: skip
@option(
    options.OUTPUT, "--remove", "an issue whose pairs --fix removes too, such as \"different languages\"; repeatable",
    multiple=True, type=Checked("unfixed issue", partial(check_issue, fixed=False)),
)  # fmt: skip
@option(options.OUTPUT, "--report", "write the issues as an HTML page", type=NEW)
@shared("--overwrite", "--json")
def check(
    file: TableFile, evaluation: tuple[TableFile, ...], evaluation_column: str, model: str, template: str | None,
    pooling: str | None, no_similarity: bool, fix: Path | None, report: Path | None, overwrite: bool, as_json: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Check the quality of a file of pairs, and fix it."""
    from lastword.files.tables import read_texts

    for output in (fix, report):
        check_output({"output": output, "overwrite": overwrite})
    if fix:
        check_pairs_output(fix)
    check_columns(file, [settings["anchor_column"], settings["positive_column"]])
    texts: list[str] = []
    for path in evaluation:
        texts += read_texts(path, [evaluation_column], drop_empty=True)[evaluation_column]
    embedder = None
    if not no_similarity:
        load_libraries("torch", "transformers.modeling_utils")
        from lastword.bundled import model_source
        from lastword.embedding import Embedder, folder

        if folder.read(model_source(model)) is None:
            template, pooling = template or "ccw", pooling or "mean"
        embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    from lastword.pairs.checking import check_pairs, issues_table, write_fixed, write_report

    result = check_pairs(PATHS.get(str(file), file), evaluation=texts, embedder=embedder, **settings)
    print_result(result, as_json, issues_table)
    if report:
        write_report(report, result, overwrite=overwrite)
    if fix:
        count = write_fixed(result, fix, overwrite=overwrite)
        click.echo(f"{count:,} of {result.pairs:,} pairs: {fix}", err=True)


@command(
    "lastword pairs mine pairs.parquet --model adapted --output with-negatives.parquet",
    "lastword pairs mine pairs.parquet --rank-from 5 --margin 0.1 --output with-negatives.parquet",
)
@click.argument("file", type=TABLE, help="pairs: Parquet, JSON, CSV, TSV or Excel")
@shared("--encoding", "--delimiter")
@shared("--model", help="embedder that finds similar texts", default="mini")
@shared("--template", "--pooling")
@option(_NEGATIVES, "--rank-from", "nearest rank of a negative, from 0", type=_RANK, default=1)
@option(_NEGATIVES, "--rank-to", "farthest rank of a negative", type=_RANK, default=50)
@option(
    _NEGATIVES, "--margin",
    "least cosine by which a negative is less similar to the anchor than the positive",
    type=Finite(0, 2), default=0.05,
)  # fmt: skip
@shared("--output", help="file to write: .parquet, .jsonl or .csv", required=True)
@shared("--overwrite")
def mine(file: TableFile, output: Path, **settings: Any) -> None:
    """Find a hard negative for each pair."""
    from lastword.pairs.mining import mine_negatives

    mine_negatives(file, output, **settings)


@command(
    "lastword pairs compare noise.parquet crops.parquet --output compared",
    "lastword pairs compare noise.parquet noise.parquet+crops.parquet --dev labelled.csv:dev --output compared",
)
@click.argument(
    "sources", nargs=-1, required=True, metavar="SOURCE...",
    help="a file of pairs, or several, A+B, mixed in equal parts",
)  # fmt: skip
@option(_RUNS, "--recipe", "mini, paper, or a TOML file of settings", default="mini")
@option(_RUNS, "--model", "base model  [default: the recipe's]", type=options.TYPES["model"])
@option(
    _RUNS, "--steps", "steps of each run  [default: the recipe's, at least 60]",
    type=click.IntRange(1, 10**7),
)  # fmt: skip
@shared("--seeds", help="training runs of each source")
@option(_RUNS, "--most-pairs", "most pairs of each run", type=click.IntRange(2, 10**9), default=3000)
@options.development("labelled texts that compare the sources; repeatable  [default: the bundled ones]")
@shared("--encoding", "--delimiter")
@shared("--output", required=True)
@shared("--resume", "--overwrite", "--json")
def compare(
    sources: tuple[str, ...], recipe: str, model: str | None, steps: int | None, most_pairs: int, as_json: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Train on each source of pairs with equal budgets, and compare the sources."""
    values = {name: value for name, value in read_recipe(recipe).items() if name not in ("pairs", "seed")}
    values |= options.passed({"model": model, "steps": steps})
    check_training(values)
    from lastword.evaluation.development import BUNDLED_DEVELOPMENT
    from lastword.experiments import compare_pairs, enough_steps, read_sources
    from lastword.experiments.table import comparison_table

    reading = {name: settings.pop(name) for name in ("encoding", "delimiter")}
    compared, output = read_sources(sources, **reading), settings.pop("output")
    development = options.read_sets(settings, BUNDLED_DEVELOPMENT, **reading)
    if steps is None:
        values["steps"] = enough_steps(values)
    result = compare_pairs(compared, development, output, pairs=most_pairs, **settings, **values)
    print_result(result, as_json, comparison_table)


COMMANDS = (check, mine, compare)
