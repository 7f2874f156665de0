"""`lastword explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("data", metavar="FILE")
@click.option("--model", "models", multiple=True, help="name or folder of a model; mini; repeatable")
@click.option("--checkpoints", type=Path, help="folder of a training: its base model and every checkpoint")
@click.option("--text", "texts", multiple=True, help="show this text token by token; repeatable")
@click.option(
    "--out", "output", type=Path, help="write explain.json, attention.svg and explain.html to this folder"
)
@click.option("--overwrite", is_flag=True, help="replace that folder")
@click.option("--text-column", default="text", show_default=True, help="column of the texts")
@click.option("--positive-column", help="column of texts that mean the same, for the alignment")
@click.option("--label-column", help="column of labels; gives the words of each label")
@click.option("--clusters", type=int, metavar="K", help="give the words of K clusters instead")
@click.option("--words", default=8, show_default=True, help="nearest words of a vector")
@click.option("--stop-words", type=Path, help="file of words that carry no content, instead of English ones")
@click.option("--max-texts", default=200, show_default=True, help="look at a fixed sample of so many texts")
@click.option("--seed", default=0, show_default=True, help="of that sample, the bands and the clusters")
@click.option("--template", help="template of all models; by default each its own, base models the others'")
@click.option("--pooling", help="pooling of all models; likewise")
@click.option("--batch-tokens", type=int, help="padded tokens in one pass; bounds the memory")
@click.option("--drop-empty", is_flag=True, help="leave out rows without text")
@click.option("--dtype", help="float32 or bfloat16; what the device does best by default")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def explain(data: str, models: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Show what models look at and how their vectors lie, side by side.

    \b
    lastword explain tickets.csv --model mini --model adapted --out explained
    lastword explain tickets.csv --checkpoints adapted --text "a man is driving a car"

    FILE holds texts: Parquet, CSV, TSV, JSON lines or plain lines; or it is the bundled topics or products.
    For a sample of them: what the last token's attention falls on, layer by layer and head by head,
    how much of it are content words, how the vectors lie, and which words the model's own head finds
    nearest to them.
    """
    from lastword.explanation import explain as run
    from lastword.explanation.table import explanation_table

    found = run(data, models, **settings)
    click.echo(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else explanation_table(found))
