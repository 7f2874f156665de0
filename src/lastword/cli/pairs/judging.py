"""The commands that look at pairs: check, mine, compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lastword.cli.options import development_options, read_sets


@click.command()
@click.argument("file", type=Path)
@click.option(
    "--evaluation", type=Path, multiple=True, help="file of texts that none of the pairs may hold; repeatable"
)
@click.option("--evaluation-column", default="text", show_default=True, help="their column")
@click.option(
    "--model", default="mini", show_default=True, help="embedder that measures how close the sides are"
)
@click.option("--template", default="ccw", show_default=True, help="its template, for a base model")
@click.option("--pooling", default="mean", show_default=True, help="its pooling, for a base model")
@click.option("--no-similarity", is_flag=True, help="embed nothing")
@click.option("--batch-pairs", default=120, show_default=True, help="size of a training batch")
@click.option("--anchor-column", default="anchor", show_default=True, help="column of the anchors")
@click.option("--positive-column", default="positive", show_default=True, help="column of the positives")
@click.option("--fix", type=Path, help="write the pairs that are left, mended, to this file")
@click.option(
    "--allow", multiple=True, metavar="FINDING", help="what --fix shall do nothing about; repeatable"
)
@click.option("--report", type=Path, help="write the findings as an HTML page")
@click.option("--overwrite", is_flag=True, help="replace what --fix and --report name")
@click.option("--json", "as_json", is_flag=True, help="print the findings as JSON")
def check(
    file: Path,
    evaluation: tuple[Path, ...],
    evaluation_column: str,
    model: str,
    template: str,
    pooling: str,
    no_similarity: bool,
    batch_pairs: int,
    anchor_column: str,
    positive_column: str,
    fix: Path | None,
    allow: tuple[str, ...],
    report: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Say whether a file of pairs is any good.

    \b
    lastword pairs check pairs.parquet --evaluation test.parquet --report findings.html
    lastword pairs check pairs.parquet --fix better.parquet
    lastword pairs check titles.parquet --fix better.parquet --allow "length drift"
    """
    from lastword.bundled import NAMES, path_of
    from lastword.files.run_folder import require_absent
    from lastword.files.tables import read_texts
    from lastword.pairs.checking import check_pairs, write_fixed, write_page
    from lastword.pairs.checking.table import findings_table

    for out in (fix, report):
        if out:
            require_absent(out, overwrite)
    embedder = None
    if not no_similarity:
        from lastword.embedding import Embedder

        embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    texts = [
        text
        for path in evaluation
        for text in read_texts(path, [evaluation_column], drop_empty=True)[evaluation_column]
    ]
    found = check_pairs(
        path_of(str(file)) if str(file) in NAMES else file,
        evaluation=texts,
        embedder=embedder,
        batch_pairs=batch_pairs,
        allow=allow,
        anchor_column=anchor_column,
        positive_column=positive_column,
    )
    click.echo(json.dumps(found.to_dict()) if as_json else findings_table(found))
    if report:
        write_page(report, found)
    if fix:
        kept = write_fixed(found, fix, positive_column)
        click.echo(f"{kept:,} of {found.pairs:,} pairs: {fix}", err=True)


@click.command()
@click.argument("file", type=Path)
@click.option("--output", type=Path, required=True, help="write .parquet, .jsonl or .csv")
@click.option("--model", default="mini", show_default=True, help="embedder that finds what is near")
@click.option("--template", help="its template, for a base model")
@click.option("--pooling", help="its pooling, for a base model")
@click.option("--rank-from", default=1, show_default=True, help="nearest rank of a negative, from 0")
@click.option("--rank-to", default=50, show_default=True, help="farthest rank")
@click.option("--margin", default=0.05, show_default=True, help="cosine below the positive's, at least")
@click.option("--overwrite", is_flag=True, help="replace the output")
def mine(
    file: Path, output: Path, model: str, template: str | None, pooling: str | None, **options: Any
) -> None:
    """Find a hard negative for each pair.

    \b
    lastword pairs mine pairs.parquet --model adapted --output with-negatives.parquet
    """
    from lastword.embedding import Embedder
    from lastword.pairs.mining import mine_negatives

    embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    mine_negatives(file, output, embedder, **options)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--out", type=Path, required=True, help="folder to write")
@development_options("that compare the sources; the bundled ones by default")
@click.option(
    "--recipe",
    default="mini",
    show_default=True,
    help="settings of the trainings: mini, paper or a TOML file",
)
@click.option("--model", help="base model, instead of the recipe's")
@click.option(
    "--steps", type=int, help="steps of each training; the recipe's by default, or 60 if it has fewer"
)
@click.option("--seeds", default=3, show_default=True, help="trainings of each source")
@click.option("--most-pairs", default=3000, show_default=True, help="pairs of each training at most")
@click.option("--resume", is_flag=True, help="go on with an interrupted comparison")
@click.option("--overwrite", is_flag=True, help="replace the output folder")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def compare(
    sources: tuple[str, ...],
    out: Path,
    dev: tuple[str, ...],
    dev_text_column: str,
    dev_label_column: str,
    dev_split: str | None,
    recipe: str,
    model: str | None,
    steps: int | None,
    seeds: int,
    most_pairs: int,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Train on each source with equal budgets, and say which is worth it.

    \b
    lastword pairs compare noise.parquet crops.parquet noise.parquet+crops.parquet --out compared
    """
    from lastword.config import read_recipe
    from lastword.evaluation.development import BUNDLED_DEVELOPMENT
    from lastword.experiments import compare_pairs, enough_steps, read_sources
    from lastword.experiments.table import comparison_table

    found_sources = read_sources(sources)
    development = read_sets(dev or BUNDLED_DEVELOPMENT, dev_text_column, dev_label_column, dev_split)
    settings = {name: value for name, value in read_recipe(recipe).items() if name not in ("pairs", "seed")}
    settings["steps"] = enough_steps(settings) if steps is None else steps
    if model is not None:
        settings["model"] = model
    found = compare_pairs(
        found_sources,
        development,
        out,
        seeds=seeds,
        pairs=most_pairs,
        resume=resume,
        overwrite=overwrite,
        **settings,
    )
    click.echo(json.dumps(found.to_dict()) if as_json else comparison_table(found))


COMMANDS = (check, mine, compare)
