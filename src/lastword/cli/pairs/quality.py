"""The commands that use pairs: check, mine, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.bundled import PATHS
from lastword.cli import options
from lastword.cli.checks import FILE, NEW, check_columns, check_pairs_output, check_training
from lastword.cli.command import Command, option, print_result
from lastword.config import read_recipe
from lastword.extras import load_libraries

_CHECKS, _NEGATIVES, _RUNS = "Checks", "Negatives", "Training runs"
_RANK = click.IntRange(0, 1_000_000)


@click.command(
    cls=Command,
    examples=(
        "lastword pairs check pairs.parquet --evaluation test.parquet --report findings.html",
        'lastword pairs check titles.parquet --fix better.parquet --allow "length drift"',
    ),
)
@click.argument("file", help="pairs: Parquet, JSON lines, CSV or TSV; or the bundled pairs")
@option("--anchor-column", group=options.TEXTS, default="anchor", metavar="NAME", help="column of the anchors")
@option("--positive-column", group=options.TEXTS, default="positive", metavar="NAME", help="column of the positives")
@option(
    "--evaluation", group=_CHECKS, type=FILE, multiple=True,
    help="file of texts that must not be among the pairs; repeatable",
)  # fmt: skip
@option("--evaluation-column", group=_CHECKS, default="text", metavar="NAME", help="column of these texts")
@option(
    "--batch-pairs", group=_CHECKS, type=click.IntRange(2, 10**6), default=120, metavar="N",
    help="size of a training batch",
)  # fmt: skip
@option("--no-similarity", group=_CHECKS, is_flag=True, help="skip the checks that need an embedder")
@option(
    "--model", group=options.MODEL, type=options.TYPES["model"], default="mini",
    help="embedder that measures how similar the sides are",
)  # fmt: skip
@options.template(default="ccw")
@options.pooling(default="mean")
@option("--fix", group=options.OUTPUT, type=NEW, metavar="PATH", help="write the remaining, corrected pairs to this file")
@option("--allow", group=options.OUTPUT, multiple=True, metavar="FINDING", help="a finding that --fix ignores; repeatable")
@option("--report", group=options.OUTPUT, type=NEW, metavar="PATH", help="write the findings as an HTML page")
@options.overwrite
@options.as_json
def check(
    file: str,
    evaluation: tuple[Path, ...],
    evaluation_column: str,
    model: str,
    template: str,
    pooling: str,
    no_similarity: bool,
    fix: Path | None,
    report: Path | None,
    overwrite: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Check the quality of a file of pairs, and fix it."""
    from lastword.files.run_folder import require_absent
    from lastword.files.tables import read_texts

    for output in filter(None, (fix, report)):
        require_absent(output, overwrite)
    if fix:
        check_pairs_output(fix)
    check_columns(file, [settings["anchor_column"], settings["positive_column"]])
    texts = [
        text
        for path in evaluation
        for text in read_texts(path, [evaluation_column], drop_empty=True)[evaluation_column]
    ]
    embedder = None
    if not no_similarity:
        load_libraries("torch", "transformers.modeling_utils")
        from lastword.embedding import Embedder

        embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    from lastword.pairs.checking import check_pairs, write_fixed, write_page
    from lastword.pairs.checking.table import findings_table

    result = check_pairs(PATHS.get(file, Path(file)), evaluation=texts, embedder=embedder, **settings)
    print_result(result, as_json, findings_table)
    if report:
        write_page(report, result)
    if fix:
        count = write_fixed(result, fix, settings["positive_column"])
        click.echo(f"{count:,} of {result.pairs:,} pairs: {fix}", err=True)


@click.command(
    cls=Command,
    examples=(
        "lastword pairs mine pairs.parquet --model adapted --output with-negatives.parquet",
        "lastword pairs mine pairs.parquet --rank-from 5 --margin 0.1 --output with-negatives.parquet",
    ),
)
@click.argument("file", type=Path, help="pairs: Parquet, JSON lines, CSV or TSV")
@option("--model", group=options.MODEL, type=options.TYPES["model"], default="mini", help="embedder that finds similar texts")
@options.template()
@options.pooling()
@option("--rank-from", group=_NEGATIVES, type=_RANK, default=1, metavar="N", help="nearest rank of a negative, from 0")
@option("--rank-to", group=_NEGATIVES, type=_RANK, default=50, metavar="N", help="farthest rank of a negative")
@option(
    "--margin", group=_NEGATIVES, type=click.FloatRange(0, 2), default=0.05, metavar="X",
    help="least cosine by which a negative is less similar to the anchor than the positive",
)  # fmt: skip
@options.output("file to write: .parquet, .jsonl or .csv", required=True)
@options.overwrite
def mine(
    file: Path, output: Path, model: str, template: str | None, pooling: str | None, **settings: Any
) -> None:
    """Find a hard negative for each pair."""
    check_pairs_output(output)
    check_columns(file, ["anchor", "positive"])
    load_libraries("torch", "transformers.modeling_utils", "sentence_transformers", "datasets")
    from lastword.embedding import Embedder
    from lastword.pairs.mining import mine_negatives

    embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    mine_negatives(file, output, embedder, **settings)


@click.command(
    cls=Command,
    examples=(
        "lastword pairs compare noise.parquet crops.parquet --output compared",
        "lastword pairs compare noise.parquet noise.parquet+crops.parquet --dev tickets.csv:dev --output compared",
    ),
)
@click.argument(
    "sources", nargs=-1, required=True, metavar="SOURCE...", help="a file of pairs, or several, A+B, mixed in equal parts"
)
@option("--recipe", group=_RUNS, default="mini", metavar="NAME", help="mini, paper, or a TOML file of settings")
@option("--model", group=_RUNS, type=options.TYPES["model"], help="base model  [default: the recipe's]")
@option(
    "--steps", group=_RUNS, type=click.IntRange(1, 10**7), metavar="N",
    help="steps of each run  [default: the recipe's, at least 60]",
)  # fmt: skip
@options.seeds(3, "training runs of each source", _RUNS)
@option(
    "--most-pairs", group=_RUNS, type=click.IntRange(2, 10**9), default=3000, metavar="N",
    help="most pairs of each run",
)  # fmt: skip
@options.development("labelled texts that compare the sources; repeatable  [default: the bundled ones]")
@options.device
@options.output("folder to write", required=True)
@options.resume
@options.overwrite
@options.as_json
def compare(
    sources: tuple[str, ...],
    output: Path,
    dev: tuple[str, ...],
    text_column: str,
    label_column: str,
    split: str | None,
    recipe: str,
    model: str | None,
    steps: int | None,
    most_pairs: int,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train on each source of pairs with equal budgets, and compare the sources."""
    values = {name: value for name, value in read_recipe(recipe).items() if name not in ("pairs", "seed")}
    values |= options.passed({"model": model, "steps": steps})
    check_training(values)
    for source in sources:
        for file in filter(None, source.split("+")):
            check_columns(file, ["anchor", "positive"])
    load_libraries(*options.TRAINING_LIBRARIES)
    from lastword.evaluation.development import BUNDLED_DEVELOPMENT
    from lastword.experiments import compare_pairs, enough_steps, read_sources
    from lastword.experiments.table import comparison_table

    development = options.read_sets(dev or BUNDLED_DEVELOPMENT, text_column, label_column, split)
    if steps is None:
        values["steps"] = enough_steps(values)
    result = compare_pairs(read_sources(sources), development, output, pairs=most_pairs, **settings, **values)
    print_result(result, as_json, comparison_table)


COMMANDS = (check, mine, compare)
