"""`lastword check`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import Checked, Choice
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.console import load_libraries
from lastword.parity.requests import PRECISIONS, check_reference, check_request, check_target


@command(
    "lastword check adapted",
    "lastword check http://localhost:8000/v1 --reference adapted --dtype bfloat16",
)
@click.argument(
    "target", type=Checked("target", check_target),
    help="a folder of sentence-transformers or an export; an .onnx, .xml or .gguf file; a Hub name; a server's address",
)  # fmt: skip
@option(
    options.MODEL, "--reference",
    "folder of the model that it should be  [default: its own golden vectors, or itself in float32]",
    type=Checked("reference", check_reference), metavar="FOLDER",
)  # fmt: skip
@option(
    options.MODEL, "--dtype", "precision that sets how near is near enough  [default: as stored]",
    type=Choice("dtype", PRECISIONS),
)  # fmt: skip
@option(options.MODEL, "--api-model", "name of the model at a server  [default: the first that it lists]")
@shared("--json")
def check(target: str, as_json: bool, **settings: Any) -> None:
    """Compare a folder, an export or a server with the model that it should be, and name what is wrong.

    Token ids come first, then vectors of texts alone, in batches and in another order, then nearest neighbours. The
    exit code is 1 if it does not pass. A key for the server is read from OPENAI_API_KEY.
    """
    check_request(target, **settings)
    load_libraries("torch", "transformers.modeling_utils", "sentence_transformers")
    from lastword.parity.check import check as run

    result = run(target, **settings)
    print_result(result, as_json, lambda card: card.text)
    if not result.passed:
        sys.exit(1)
