"""`lastword train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lastword.cli.options import development_options, given, options_of, read_sets
from lastword.config import TrainConfig, read_recipe


@click.command()
@click.option("--out", type=Path, required=True, help="folder to write")
@click.option("--recipe", help="mini, paper, or a TOML file of the settings below; flags go before it")
@options_of(TrainConfig)
@click.option(
    "--as-published",
    metavar="A,B,…",
    help="train as the paper's own code does: names such as negatives=micro, or all",
)
@development_options("that choose the checkpoint; without any, a tenth of the pairs is held out for it")
@click.option("--drop-empty", is_flag=True, help="leave out pairs with an empty side")
@click.option("--resume", is_flag=True, help="go on with an interrupted run of the same settings")
@click.option("--overwrite", is_flag=True, help="replace the output folder")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--trackers", help="an experiment tracker that accelerate knows, or none")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def train(
    out: Path,
    recipe: str | None,
    as_published: str | None,
    dev: tuple[str, ...],
    dev_text_column: str,
    dev_label_column: str,
    dev_split: str | None,
    drop_empty: bool,
    resume: bool,
    overwrite: bool,
    device: str | None,
    trackers: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Adapt a decoder to embed, by contrastive LoRA training on pairs.

    \b
    lastword train --model mini --pairs pairs.parquet --out adapted
    lastword train --recipe paper --model meta-llama/Llama-3.2-1B --pairs pairs.parquet --out adapted

    Pairs are Parquet, JSON lines, CSV or TSV with the columns anchor, positive and perhaps negative.
    The folder loads in sentence-transformers as it is.
    """
    from lastword.evaluation.development import ClusterScorer

    settings = {**(read_recipe(recipe) if recipe else {}), **given(flags)}
    published = settings.pop("as_published", None)
    variant = _variant(published if as_published is None else as_published)
    sets = read_sets(dev, dev_text_column, dev_label_column, dev_split, drop_empty=drop_empty)
    scorer = ClusterScorer(sets) if sets else None

    from lastword.training import train as run

    result = run(
        out,
        scorer=scorer,
        variant=variant,
        resume=resume,
        overwrite=overwrite,
        drop_empty=drop_empty,
        device=device,
        trackers=trackers,
        **settings,
    )
    if as_json:
        click.echo(json.dumps(result.to_dict()))


def _variant(as_published: str | list[str] | None) -> Any:
    """What is trained otherwise than the settings say; None if nothing is."""
    if not as_published:
        return None
    from lastword.paper.as_published import AsPublished

    names = as_published.split(",") if isinstance(as_published, str) else as_published
    return AsPublished(tuple(name.strip() for name in names if name.strip()))
