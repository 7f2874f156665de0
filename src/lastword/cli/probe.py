"""`lastword probe`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import COUNT, FILE, check_columns, check_pooling, check_template, split_names
from lastword.cli.command import Command, option, print_result

@click.command(
    cls=Command,
    examples=(
        "lastword probe tickets.csv --label-column topic --output probed",
        "lastword probe notes.txt --templates none,ccw --poolings mean,lasttoken --layers 4,6,8",
    ),
)
@click.argument("file", help="texts: Parquet, CSV, TSV, JSON lines, plain lines; or topics, products")
@options.text_column()
@options.label_column("column of the labels, if there are any", default=None)
@options.split()
@options.max_texts(1000)
@options.seed("seed of the sample, the text noise and the label-free scores")
@options.drop_empty
@option("--model", group="Model", default="mini", type=options.TYPES["model"], help="name or folder of a decoder")
@options.batch_tokens
@options.dtype
@options.device
@option(
    "--templates", group="Compared", multiple=True, metavar="A,B,…",
    help=f"names ({', '.join(options.TEMPLATES)}), or one string with {{text}}; repeatable  [default: all names]",
)  # fmt: skip
@option(
    "--suffixes", group="Compared", type=FILE,
    help="a suffix, or a template with {text}, on each line; # begins a comment",
)  # fmt: skip
@option("--prefix", group="Compared", metavar="TEXT", help='text before a suffix  [default: This sentence: "{text}"]')
@option(
    "--poolings", group="Compared", metavar="A,B,…",
    help=f"of {', '.join(options.POOLINGS)}, also NAME:text  [default: mean,mean:text,weightedmean,lasttoken,eos]",
)  # fmt: skip
@option(
    "--layers", group="Compared", metavar="A,B,…",
    help="hidden states: all, last, or numbers such as 0,3,6  [default: all with labels, else last]",
)  # fmt: skip
@option("--scores", group="Scoring", metavar="A,B,…", help=f"of {SCORES}  [default: all that the texts allow]")
@option(
    "--rank-by", group="Scoring", metavar="NAME",
    help="score that ranks  [default: v_measure with labels, else stability]",
)  # fmt: skip
@option(
    "--samples-per-label", group="Scoring", type=click.IntRange(1, 10_000), default=8, metavar="N",
    help="training texts of each label for accuracy",
)  # fmt: skip
@option(
    "--memory-gib", group="Scoring", type=click.FloatRange(0.001, 4096), default=1.0, metavar="X",
    help="memory for vectors; more options than fit are embedded in parts",
)  # fmt: skip
@option("--show", group="Output", type=COUNT, default=20, metavar="N", help="options to print, the best first")
@options.output("folder to write: probe.json and heatmap.svg")
@options.resume
@options.overwrite
@options.as_json
def probe(file: str, templates: tuple[str, ...], prefix: str | None, show: int, as_json: bool, **settings: Any) -> None:
    """Find out which template, pooling and layer of a model suit your texts.

    Embeds the texts in every combination, from shared passes, and ranks the combinations: by V-measure
    where there are labels, else by a score that needs none and is a weaker guide. Choose on texts that
    you will not report.
    """
    from lastword.probing import probe as run
    from lastword.probing.table import probe_table

    result = run(
        settings.pop("model"), file, templates=templates or None, **passed({"prefix": prefix}), **settings
    )
    print_result(result, as_json, lambda found: probe_table(found, show))
    if settings["output"]:
        click.echo(f"{settings['output']}: probe.json, heatmap.svg", err=True)
