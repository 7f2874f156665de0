"""`lastword cluster`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import Choice
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.cli.pairs.generate import chat_model as chat_model_option
from lastword.cli.pairs.generate import check_endpoint
from lastword.files.sources import TableFile

GROUPS, NAMES, MAP = "Groups", "Names", "Map"
MAPS = ("auto", "umap", "pca", "none")
METHODS = ("k-means", "density")
NAMINGS = ("terms", "head", "joined")

GROUPING = option(
    GROUPS, "--groups", "how many, of k-means  [default: chosen, with the reason]", type=click.IntRange(2, 10_000)
)  # fmt: skip
MAPPED = option(
    MAP, "--map", "how texts are put on it; pca is quick and shows less; auto is umap if it is installed, else pca",
    default="auto", type=Choice("map", MAPS),
)  # fmt: skip
MAP_TEXTS = option(
    MAP, "--map-texts", "most texts on it, a fixed sample", default=100_000, type=click.IntRange(1, 10**6)
)
GROUP_COLUMN = option(
    options.OUTPUT, "--group-column", "of the table; NAME_name and NAME_confidence too", default="group"
)


@command(
    "lastword cluster tickets.csv --text-column message --model adapted --output groups",
    "lastword cluster vectors --groups 20 --label-column topic --output groups",
)
@options.inputs("folder that `lastword embed` wrote, or files as for `lastword embed`")
@shared("--text-column")
@shared("--label-column", default=None, help="column of known labels, to compare the groups with")
@shared("--encoding", "--delimiter")
@options.models(
    default=None, required=False,
    help="mini, sentence-transformers:NAME, or name or folder of a decoder; of a folder of vectors, the one that made "
    "them, for names  [default: mini for texts]",
)  # fmt: skip
@shared("--template", "--pooling", "--batch-tokens", "--dtype", "--device")
@option(
    GROUPS, "--method", "density leaves texts outside of dense regions unclustered", default="k-means",
    type=Choice("method", METHODS),
)  # fmt: skip
@GROUPING
@option(
    GROUPS, "--least-size", "texts of the smallest group, of density  [default: by the number of texts]",
    type=click.IntRange(2, 10**6),
)  # fmt: skip
@option(GROUPS, "--hierarchy", "put groups into families too", is_flag=True)
@shared("--seed", group=GROUPS, help="of samples, groups and map")
@option(
    NAMES, "--naming", "of distinctive terms, of words that the model's output head predicts, or of both joined",
    default="terms", type=Choice("naming", NAMINGS),
)  # fmt: skip
@chat_model_option(NAMES, "name of a chat model that writes the names")
@MAPPED
@MAP_TEXTS
@shared(
    "--output",
    help="folder to write: texts.parquet, clusters.json, map.html, and vectors of texts",
    required=True,
)
@GROUP_COLUMN
@shared("--resume", help="continue an interrupted run; texts embedded before are not embedded again")
@shared("--overwrite", "--json")
def cluster(
    inputs: tuple[TableFile, ...], as_json: bool, chat_model: str | None, endpoint: str | None, **settings: Any
) -> None:  # fmt: skip
    """Group texts by their meaning, and name the groups.

    The number of groups is chosen unless it is given. Each group has a name, typical texts and outliers, and a figure
    of how stable it is. The key of a hosted endpoint is read from OPENAI_API_KEY.
    """
    from lastword.corpus.cluster import check_request, cluster_corpus
    from lastword.corpus.clustering.result import as_text

    how = {name: settings[name] for name in ("template", "pooling", "batch_tokens", "dtype", "device")}
    check_request(inputs, **options.taken(check_request, settings), **how)
    chat = _chat(chat_model, endpoint) if chat_model and endpoint else None
    print_result(cluster_corpus(inputs, chat=chat, **settings), as_json, as_text)


def _chat(model: str, endpoint: str) -> Callable[[Sequence[str]], list[str]]:
    """A chat model as a function: prompts → answers."""
    check_endpoint(endpoint)
    from lastword.pairs.generating import Endpoint
    from lastword.pairs.generating.engine import Prompt

    engine = Endpoint(model, endpoint, temperature=0.0)
    return lambda prompts: [answer.text for answer in engine.answers([Prompt(text, 0) for text in prompts])]
