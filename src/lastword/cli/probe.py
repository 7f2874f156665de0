"""`lastword probe`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import COUNT, FILE, TABLE, Finite
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.embedding.pooling import PLAIN
from lastword.embedding.template import TEMPLATES
from lastword.files.sources import TableFile

SCORES = (
    "v_measure", "accuracy", "stability", "agreement", "tolerance", "effective_rank", "alignment", "uniformity",
)  # fmt: skip


@command(
    "lastword probe tickets.csv --text-column message --label-column topic --output probed",
    "lastword probe notes.txt --templates none,ccw --poolings mean,lasttoken --layers 4,6,8",
)
@click.argument(
    "file", type=TABLE, help="texts: Parquet, CSV, TSV, JSON, Excel, plain lines; or topics, products",
)  # fmt: skip
@shared("--text-column")
@shared("--label-column", help="column of the labels, if there are any", default=None)
@shared("--split")
@shared("--max-texts", default=1000)
@shared("--seed", help="seed of the sample, the noise in the texts and the scores without labels")
@shared("--drop-empty", "--encoding", "--delimiter")
@shared("--model", default="mini")
@shared("--batch-tokens", "--dtype", "--device")
@option(
    "Compared", "--templates",
    f"names ({', '.join(TEMPLATES)}), or one string with {{text}}; repeatable  [default: all names]",
    multiple=True, metavar="A,B,…",
)  # fmt: skip
@option(
    "Compared", "--suffixes", "a suffix, or a template with {text}, on each line; # begins a comment",
    type=FILE,
)  # fmt: skip
@option("Compared", "--prefix", 'text before a suffix  [default: This sentence: "{text}"]', metavar="TEXT")
@option(
    "Compared", "--poolings",
    f"of {', '.join(PLAIN)}, also NAME:text  [default: mean,mean:text,weightedmean,lasttoken,eos]",
    metavar="A,B,…",
)  # fmt: skip
@option(
    "Compared", "--layers",
    "hidden states: all, last, or numbers such as 0,3,6  [default: all with labels, else last]",
    metavar="A,B,…",
)  # fmt: skip
@option(
    "Scoring", "--scores", f"of {', '.join(SCORES)}  [default: all that the texts allow]", metavar="A,B,…",
)  # fmt: skip
@option("Scoring", "--rank-by", "score that ranks  [default: v_measure with labels, else stability]")
@shared("--samples-per-label", help="training texts of each label for accuracy", needs="label_column")
@option(
    "Scoring", "--memory-gib", "memory for vectors; more options than fit are embedded in parts",
    type=Finite(0.001, 4096), default=1.0,
)  # fmt: skip
@option("Output", "--show", "options to print, the best first", type=COUNT, default=20)
@shared("--output", help="folder to write: probe.json and heatmap.svg")
@shared("--resume", "--overwrite", "--json")
def probe(
    file: TableFile, templates: tuple[str, ...], prefix: str | None, show: int, as_json: bool, **settings: Any
) -> None:
    """Find out which template, pooling and layer of a model suit your texts.

    Embeds the texts in every combination, from shared passes, and ranks the combinations: by V-measure
    where there are labels, else by a score that needs none and is a weaker guide. Choose on texts that
    you will not report.
    """
    from lastword.probing import probe as run
    from lastword.probing.table import probe_table

    prefixes = options.passed({"prefix": prefix})
    result = run(settings.pop("model"), file, templates=templates or None, **prefixes, **settings)
    print_result(result, as_json, lambda found: probe_table(found, show))
    if settings["output"]:
        click.echo(f"{settings['output']}: probe.json, heatmap.svg", err=True)
