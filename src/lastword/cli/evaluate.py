"""`lastword evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "--model", required=True, help="name or folder of a model; mini; tfidf; sentence-transformers:NAME"
)
@click.option("--data", required=True, help="file of labelled texts, or the bundled topics or products")
@click.option("--text-column", default="text", show_default=True, help="column of the texts")
@click.option("--label-column", default="label", show_default=True, help="column of the labels")
@click.option("--split", help="keep the rows whose column `split` has this value")
@click.option("--task", default="clustering", show_default=True, help="clustering or classification")
@click.option("--template", help="template of a base model: a name or a string with {text}")
@click.option("--pooling", help="pooling of a base model")
@click.option("--train-split", default="train", show_default=True, help="split a classification learns from")
@click.option("--samples-per-label", default=8, show_default=True, help="training texts of each label")
@click.option("--max-texts", type=int, help="score a fixed sample of at most so many texts")
@click.option("--batch-tokens", type=int, help="padded tokens in one pass; bounds the memory")
@click.option("--seed", default=0, show_default=True, help="of that sample")
@click.option("--drop-empty", is_flag=True, help="leave out rows without text or label")
@click.option("--dtype", help="float32 or bfloat16; what the device does best by default")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def evaluate(model: str, data: str, as_json: bool, **settings: Any) -> None:
    """Score a model on labelled texts, by the protocols of MTEB.

    \b
    lastword evaluate --model adapted --data tickets.csv --label-column topic
    lastword evaluate --model tfidf --data tickets.csv --label-column topic

    Clustering gives the V-measure of k-means against the labels; classification the accuracy of a
    logistic regression on a few texts of each label. tfidf is the baseline to beat.
    """
    from lastword.evaluation import evaluate as run

    result = run(_path_or_name(model), data, **settings)
    if as_json:
        click.echo(json.dumps(result))
        return
    how = " ".join(str(result[key]) for key in ("template", "pooling") if result[key])
    metric = result["metric"].replace("_", "-")
    click.echo(f"{result['model']} {how}".rstrip())
    click.echo(
        f"{metric} {100 * result['score']:.1f} ± {100 * result['std']:.1f} on {result['n']:,} texts of {data}"
    )


def _path_or_name(model: str) -> str | Path:
    return Path(model) if Path(model).is_dir() else model
