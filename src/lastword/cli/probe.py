"""`lastword probe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lastword.cli.options import given


@click.command()
@click.argument("file")
@click.option("--model", default="mini", show_default=True, help="name or folder of a decoder")
@click.option(
    "--templates",
    multiple=True,
    help="names with commas between, or one string with {text}; repeatable  [default: all named ones]",
)
@click.option(
    "--poolings", help="names with commas between  [default: mean,mean:text,weightedmean,lasttoken,eos]"
)
@click.option(
    "--layers",
    help="hidden states: all, last, or numbers such as 0,3,6  [default: all with labels, else last]",
)
@click.option(
    "--suffixes", type=Path, help="file with a suffix, or a template with {text}, on each line; # comments"
)
@click.option("--prefix", help='what stands before a suffix  [default: This sentence: "{text}"]')
@click.option("--text-column", default="text", show_default=True, help="column of the texts")
@click.option("--label-column", help="column of the labels, if there are any")
@click.option("--split", help="keep the rows whose column `split` has this value")
@click.option(
    "--max-texts", default=1000, show_default=True, help="look at a fixed sample of at most so many texts"
)
@click.option("--scores", help="which to compute, with commas between  [default: all]")
@click.option("--rank-by", help="score that ranks  [default: v_measure with labels, else stability]")
@click.option(
    "--samples-per-label", default=8, show_default=True, help="training texts of each label for accuracy"
)
@click.option(
    "--seed", default=0, show_default=True, help="of the sample, the damage and the label-free scores"
)
@click.option("--memory-gib", default=1.0, show_default=True, help="vectors that are held at once")
@click.option("--drop-empty", is_flag=True, help="leave out rows without text or label")
@click.option("--batch-tokens", type=int, help="padded tokens in one pass; bounds the memory of the model")
@click.option("--dtype", help="float32 or bfloat16; what the device does best by default")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--show", default=20, show_default=True, help="options to print, the best first")
@click.option("--out", type=Path, help="folder to write: probe.json and heatmap.svg")
@click.option("--resume", is_flag=True, help="go on with an interrupted probe of the same settings")
@click.option("--overwrite", is_flag=True, help="replace the folder")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def probe(
    file: str, templates: tuple[str, ...], prefix: str | None, show: int, as_json: bool, **settings: Any
) -> None:
    """Find out which template, pooling and layer of a model serve your texts.

    \b
    lastword probe tickets.csv --label-column topic --out probed
    lastword probe notes.txt --templates none,ccw --poolings mean,lasttoken --layers 4,6,8
    lastword probe tickets.csv --label-column topic --suffixes suffixes.txt --poolings lasttoken

    Embeds the texts in every combination, from shared passes, and ranks the combinations: by V-measure
    where there are labels, else by a score that needs none and is a weaker guide. Choose on texts that
    you will not report.
    """
    from lastword.probing import probe as run
    from lastword.probing.table import probe_table

    model, settings["output"] = settings.pop("model"), settings.pop("out")
    found = run(
        Path(model) if Path(model).is_dir() else model,
        file,
        templates=templates or None,
        **given({"prefix": prefix}),
        **settings,
    )
    click.echo(json.dumps(found.to_dict()) if as_json else probe_table(found, show))
    if settings["output"]:
        click.echo(f"{settings['output']}: probe.json, heatmap.svg", err=True)
