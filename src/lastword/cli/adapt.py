"""`lastword adapt`."""

from __future__ import annotations

from typing import Any

from lastword.cli import options
from lastword.cli.checks import COUNT, split_names
from lastword.cli.cluster import GROUP_COLUMN, GROUPING, MAPPED
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.cli.pairs.generate import REQUESTS, check_endpoint, request_fields
from lastword.cli.pairs.generate import chat_model as chat_model_option
from lastword.console import load_libraries
from lastword.errors import RequestError
from lastword.files.sources import TableFile

_PAIRS, _COMPARED = "Pairs", "Compared"
SOURCES = ("recipe", "crop", "noise", "neighbours", "labels", "generate")


@command(
    "lastword adapt tickets.csv --text-column message --output adapted",
    "lastword adapt products.parquet --label-column category --model smollm2 --output adapted",
)
@options.inputs("files as for `lastword embed`")
@shared("--text-column")
@shared(
    "--label-column", default=None, help="column of labels: they choose, compare and, as a source, make pairs"
)
@shared(
    "--max-texts",
    default=10_000,
    help="choose, train and compare on a fixed sample of so many different texts",
)
@shared("--seed", help="seed of everything that is drawn")
@shared("--encoding", "--delimiter")
@shared("--model", default=None, help="name or folder of a decoder  [default: that of the recipe, or mini]")
@option(
    "Model",
    "--recipe",
    "mini, small, paper, or a TOML file of settings  [default: the one for the model; a trained model goes on with its "
    "own, with fewer steps and a lower learning rate]",
)
@shared("--batch-tokens", "--dtype", "--device")
@option(
    _PAIRS, "--sources",
    f"of pairs: {', '.join(SOURCES)}; NAME=2 is twice the weight  [default: all, neighbours=2; for a trained model "
    "recipe, neighbours]",
    metavar="A,B,…",
)  # fmt: skip
@chat_model_option(_PAIRS, "name of a chat model that rewrites texts, for pairs")
@REQUESTS
@option(_PAIRS, "--rewritten", "most texts that it rewrites", type=COUNT, default=1000, needs="endpoint")
@option(
    _COMPARED, "--baseline baselines", "also compare with this model, such as sentence-transformers:NAME; repeatable",
    type=options.ENCODER, multiple=True,
)  # fmt: skip
@GROUPING
@MAPPED
@shared(
    "--output", required=True,
    help="folder to write: model, groups with vectors and map, pairs, report.html, adapted.json",
)  # fmt: skip
@GROUP_COLUMN
@shared("--resume", "--overwrite", "--json")
def adapt(
    inputs: tuple[TableFile, ...], as_json: bool, sources: str | None, chat_model: str | None, endpoint: str | None,
    request: str | None, concurrency: int, per_minute: float | None, **settings: Any,
) -> None:  # fmt: skip
    """Adapt a model to a corpus, embed and group the corpus with it, and report whether adapting helped.

    Pairs are made of the texts themselves. Models are compared on texts that training has not seen; with labels the
    answer is surer. The key of a hosted endpoint is read from OPENAI_API_KEY.
    """
    from lastword.adaptation.request import check_request

    settings["sources"] = read_weights(sources)
    fields = request_fields(request)
    if endpoint:
        check_endpoint(endpoint)
    check_request(inputs, rewriting=bool(endpoint), **options.taken(check_request, settings))
    load_libraries(*options.TRAINING_LIBRARIES)
    from lastword.adaptation.adapt import adapt_corpus
    from lastword.adaptation.findings import summary
    from lastword.pairs.generating import Endpoint

    rewriter = None
    if endpoint and chat_model:
        rewriter = Endpoint(
            chat_model, endpoint, concurrency=concurrency, per_minute=per_minute, request=fields
        )
    print_result(adapt_corpus(inputs, rewriter=rewriter, **settings), as_json, summary)


def read_weights(text: str | None) -> dict[str, float] | None:
    """`crop,neighbours=2` as source → weight; None is None."""
    if text is None:
        return None
    weights: dict[str, float] = {}
    for part in split_names(text):
        name, _, weight = part.partition("=")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise RequestError(f"--sources {part}: give a number after =, such as {name}=2") from None
    return weights
