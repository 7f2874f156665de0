"""`lastword pairs generate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lastword.bundled import check_model, require_chat_template
from lastword.cli import options
from lastword.cli.checks import FILE, Finite
from lastword.cli.command import Decorator, command, option
from lastword.cli.options import shared
from lastword.cli.pairs.methods import METHOD, check, common, run
from lastword.console import load_libraries
from lastword.errors import RequestError

if TYPE_CHECKING:
    from lastword.pairs.generating.engine import Answer, Engine, Prompt

_MODEL, _COST = "Language model", "Forecast"
_PRICE = Finite(0, 1e6)

ENDPOINT = {
    "help": "address of an OpenAI-compatible server, such as http://localhost:8000/v1",
    "metavar": "URL",
}
REQUESTS = options.together(
    option(
        _MODEL, "--request", "further fields of each request to the endpoint; null removes one", metavar="JSON",
        needs="endpoint",
    ),
    option(
        _MODEL, "--concurrency", "requests to the endpoint at the same time", type=click.IntRange(1, 1000),
        default=8, needs="endpoint",
    ),
    option(
        _MODEL, "--per-minute", "most requests to the endpoint a minute", type=Finite(0.001, 1e6), needs="endpoint",
    ),
)  # fmt: skip
"""What is sent to an endpoint, and how often."""


@command(
    "lastword pairs generate notes.csv --model Qwen/Qwen3-0.6B --output pairs.parquet",
    "lastword pairs generate notes.csv --model qwen3 --endpoint http://localhost:11434/v1 --output pairs.parquet",
)
@shared("--text-column")
@common
@option(_MODEL, "--model", "a chat model: Hub name or folder, or its name at the endpoint", required=True)
@option(_MODEL, "--endpoint", **ENDPOINT)
@REQUESTS
@option(
    _MODEL, "--batch-prompts", "prompts in one pass of a local model", type=click.IntRange(1, 10_000),
    default=16,
)  # fmt: skip
@option(
    _MODEL, "--temperature", "0 always takes the most likely token", type=Finite(0, 10),
    default=0.7,
)  # fmt: skip
@option(
    _MODEL, "--max-tokens", "longest answer in tokens; a longer one is rejected",
    type=click.IntRange(1, 100_000), default=256,
)  # fmt: skip
@option(
    METHOD, "--instructions", 'TOML file, name = "… {text} …"  [default: the five of the paper]', type=FILE,
)  # fmt: skip
@option(METHOD, "--every", "use every instruction for each text, instead of drawing one", is_flag=True)
@option(_COST, "--price-in", "price of a million tokens read", type=_PRICE)
@option(_COST, "--price-out", "price of a million tokens written", type=_PRICE)
@option(_COST, "--plan", "show the forecast and stop", is_flag=True)
def generate(
    text_column: str, instructions: Any, every: bool, price_in: float | None, price_out: float | None, plan: bool,
    model: str, endpoint: str | None, request: str | None, concurrency: int, per_minute: float | None,
    batch_prompts: int, temperature: float, max_tokens: int, **settings: Any,
) -> None:  # fmt: skip
    """Have a language model rewrite each text.

    The key of a hosted endpoint is read from OPENAI_API_KEY.
    """
    fields = request_fields(request)
    if not endpoint:
        check_model(model)
        require_chat_template(model)
    else:
        check_endpoint(endpoint)
    check(settings["file"], settings["output"], [text_column])
    from lastword.pairs.generating import INSTRUCTIONS, Rewriting, forecast, read_instructions

    wordings = read_instructions(instructions) if instructions else dict(INSTRUCTIONS)
    method = Rewriting(_NoEngine(), text_column, wordings, every)
    forecast(method, settings["file"], price_in, price_out).log()
    if plan:
        return
    engine: Engine
    if endpoint:
        from lastword.pairs.generating import Endpoint

        engine = Endpoint(
            model, endpoint, concurrency=concurrency, per_minute=per_minute, temperature=temperature,
            max_tokens=max_tokens, request=fields,
        )  # fmt: skip
    else:
        load_libraries("torch", "transformers.modeling_utils")
        from lastword.pairs.generating.chat import LocalChat

        engine = LocalChat(model, max_tokens, temperature, batch_prompts)
    run(dataclasses.replace(method, engine=engine), **settings)


def chat_model(group: str, help: str) -> Decorator:
    """`--chat-model` and its `--endpoint`, which need each other."""
    return options.together(
        option(group, "--chat-model", help, needs="endpoint"),
        option(group, "--endpoint", needs="chat_model", **ENDPOINT),
    )


def request_fields(request: str | None) -> dict[str, Any]:
    """The fields of `--request`."""
    try:
        fields = json.loads(request or "{}")
    except json.JSONDecodeError as error:
        raise RequestError(f"--request {request!r} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RequestError(f'--request {request!r}: write fields, such as {{"reasoning_effort": "none"}}')
    return fields


def check_endpoint(address: str) -> None:
    """Refuse what is no address of a server."""
    if not address.startswith(("http://", "https://")):
        raise RequestError(f"--endpoint {address!r}: give an address such as http://localhost:8000/v1")


class _NoEngine:
    """Used for the forecast, which asks no model: loading one may take minutes."""

    def settings(self) -> dict[str, Any]:
        return {}

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        raise NotImplementedError
