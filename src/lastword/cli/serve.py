"""`lastword serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.bundled import check_encoder
from lastword.cli import checks
from lastword.cli.checks import Checked, Finite
from lastword.cli.command import command, option
from lastword.cli.options import shared
from lastword.console import info
from lastword.serving.settings import ServerSettings, served_models

_SERVER, _LIMITS = "Server", "Limits"


def _check_model(model: str) -> None:
    ((_, source),) = served_models([model]).items()
    check_encoder(source)


@command(
    "lastword serve adapted",
    "lastword serve tickets=adapted fast=sentence-transformers:student --port 8080 --api-key-file keys.txt",
)
@click.argument(
    "models", metavar="MODEL…", nargs=-1, required=True, type=Checked("model", _check_model),
    help="mini, sentence-transformers:NAME, or name or folder of a decoder; NAME=MODEL sets its name",
)  # fmt: skip
@option(_SERVER, "--host", "address to listen on; 0.0.0.0 is all", default="127.0.0.1")
@option(
    _SERVER,
    "--port",
    "port to listen on; 0 is any that is free",
    default=8000,
    type=click.IntRange(0, 65_535),
)
@option(
    _SERVER, "--api-key-file", "file with a key on each line, of which each request needs one; only you may read it",
    type=click.Path(path_type=Path), metavar="FILE",
)  # fmt: skip
@shared("--template", "--pooling", "--batch-tokens", "--dtype", "--device")
@option(
    _LIMITS, "--max-wait-ms", "longest wait of an idle model for more texts", default=ServerSettings.max_wait_ms,
    type=Finite(0, 10_000),
)  # fmt: skip
@option(
    _LIMITS, "--queue-tokens", "tokens that may wait; more are answered with 429", default=ServerSettings.queue_tokens,
    type=click.IntRange(1, 10**9),
)  # fmt: skip
@option(
    _LIMITS, "--timeout-s", "seconds for one request", default=ServerSettings.timeout_s, type=Finite(0.1, 86_400)
)  # fmt: skip
@option(
    _LIMITS, "--max-inputs", "texts in one request", default=ServerSettings.max_inputs, type=click.IntRange(1, 10**6)
)  # fmt: skip
@option(
    _LIMITS, "--max-body", "size of one request", default="8MiB", type=checks.Size(),
)  # fmt: skip
def serve(models: tuple[str, ...], max_body: float, **options: Any) -> None:
    """Serve models by OpenAI's API for embeddings.

    The routes are /v1/embeddings, /v1/models, /health, /metrics and /openapi.json. A text gets the template that its
    model stores. Adapters in folders share the base model that they name. Stop it with Ctrl-C or SIGTERM: requests
    that it took are finished.
    """
    from lastword.serving.server import check_server
    from lastword.serving.server import serve as run

    limits = {
        name: options.pop(name)
        for name in ("batch_tokens", "max_wait_ms", "queue_tokens", "timeout_s", "max_inputs")
    }
    try:
        check_server(models, options["api_key_file"], options["template"])
        run(models, settings=ServerSettings(**limits, max_body=int(max_body)), **options)
    except KeyboardInterrupt:  # a signal while it checks the request is no failure either
        info("stopped before the models were loaded")
