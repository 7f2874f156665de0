"""The commands that make pairs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastword.augment import NOISES
from lastword.errors import RequestError

if TYPE_CHECKING:
    from lastword.pairs import Method
    from lastword.pairs.generating.engine import Answer, Engine, Prompt

Command = Callable[..., Any]


def _common(function: Command) -> Command:
    """What all ways of making pairs take."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="print the counts as JSON"),
        click.option("--drop-empty", is_flag=True, help="leave out rows without text"),
        click.option("--overwrite", is_flag=True, help="replace the output, forget an interrupted run"),
        click.option("--resume", is_flag=True, help="go on with an interrupted run of the same settings"),
        click.option("--seed", default=0, show_default=True, help="decides whatever is drawn"),
        click.option("--output", type=Path, required=True, help="write .parquet, .jsonl or .csv"),
        click.argument("file", type=Path),
    ):
        function = option(function)
    return function


def _text_column(function: Command) -> Command:
    return click.option("--text-column", default="text", show_default=True, help="column of the texts")(
        function
    )


def _run(method: Method, file: Path, output: Path, seed: int, as_json: bool, **how: bool) -> None:
    from lastword.pairs import make_pairs

    made = make_pairs(method, file, output, seed=seed, **how)
    if as_json:
        click.echo(json.dumps(made.to_dict()))


@click.command()
@_common
@_text_column
@click.option("--model", required=True, help="a chat model: Hub name or folder, or its name at the endpoint")
@click.option("--endpoint", help="address of an OpenAI-compatible server, such as http://localhost:8000/v1")
@click.option(
    "--instructions", type=Path, help='TOML file, name = "… {text} …"; the paper\'s five by default'
)
@click.option("--every", is_flag=True, help="use every instruction for each text, not one drawn for it")
@click.option("--temperature", default=0.7, show_default=True, help="0 takes the likeliest token always")
@click.option("--max-tokens", default=256, show_default=True, help="longest answer; a longer one is rejected")
@click.option(
    "--request", metavar="JSON", help="further fields of each request to the endpoint; null leaves one out"
)
@click.option("--concurrency", default=8, show_default=True, help="requests under way at a time")
@click.option("--per-minute", type=float, help="most requests a minute")
@click.option("--batch-prompts", default=16, show_default=True, help="prompts in one pass of a local model")
@click.option("--price-in", type=float, help="price of a million tokens read, for the forecast")
@click.option("--price-out", type=float, help="price of a million tokens written, for the forecast")
@click.option("--plan", is_flag=True, help="tell what it will take, and do nothing")
def generate(text_column: str, **options: Any) -> None:
    """Have a language model rewrite each text.

    \b
    lastword pairs generate notes.csv --text-column note --model Qwen/Qwen3-0.6B --output pairs.parquet
    lastword pairs generate notes.csv --model qwen3 --endpoint http://localhost:11434/v1 --output pairs.parquet

    The key of a hosted endpoint is read from OPENAI_API_KEY.
    """
    from lastword.pairs.generating import INSTRUCTIONS, Rewriting, forecast, read_instructions

    engine_of = {
        name: options.pop(name)
        for name in (
            "model",
            "endpoint",
            "temperature",
            "max_tokens",
            "request",
            "concurrency",
            "per_minute",
            "batch_prompts",
        )
    }
    path, every, plan = options.pop("instructions"), options.pop("every"), options.pop("plan")
    prices = (options.pop("price_in"), options.pop("price_out"))
    instructions = read_instructions(path) if path else dict(INSTRUCTIONS)
    method = Rewriting(_NoEngine(), text_column, instructions, every)
    forecast(method, options["file"], *prices).log()
    if not plan:
        _run(dataclasses.replace(method, engine=_engine(**engine_of)), **options)


def _engine(
    model: str, endpoint: str | None, temperature: float, max_tokens: int, request: str | None,
    concurrency: int, per_minute: float | None, batch_prompts: int,
) -> Engine:  # fmt: skip
    from lastword.pairs.generating import Endpoint, LocalChat

    if endpoint:
        return Endpoint(
            model, endpoint, concurrency=concurrency, per_minute=per_minute, temperature=temperature,
            max_tokens=max_tokens, request=_fields(request),
        )  # fmt: skip
    if request is not None:
        raise RequestError("--request is for an endpoint: give its address with --endpoint too")
    return LocalChat(model, max_tokens, temperature, batch_prompts)


def _fields(request: str | None) -> dict[str, Any]:
    try:
        fields = json.loads(request or "{}")
    except json.JSONDecodeError as error:
        raise RequestError(f"--request {request!r} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RequestError(f'--request {request!r}: write fields, such as {{"reasoning_effort": "none"}}')
    return fields


class _NoEngine:
    """Stands in for a model while nothing is asked of one: loading it may take minutes."""

    def settings(self) -> dict[str, Any]:
        return {}

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        raise NotImplementedError


@click.command()
@_common
@_text_column
@click.option("--via", default="de", show_default=True, help="pivot languages, one pair for each")
@click.option("--language", default="en", show_default=True, help="the texts' language")
@click.option("--models", help="names or folders of the models, with {source} and {target} in them")
@click.option(
    "--engine",
    default="transformers",
    show_default=True,
    help="transformers, or ctranslate2 (faster on a CPU)",
)
def translate(
    text_column: str, via: str, language: str, models: str | None, engine: str, **common: Any
) -> None:
    """Translate each text to another language and back.

    \b
    lastword pairs translate notes.csv --text-column note --via de,fr --output pairs.parquet
    """
    from lastword.pairs.translating import MODELS, BackTranslation, load_translators

    pivots = [pivot.strip() for pivot in via.split(",") if pivot.strip()]
    _run(BackTranslation(load_translators(pivots, language, models or MODELS, engine), text_column), **common)


@click.command()
@_common
@_text_column
@click.option("--kinds", default=",".join(NOISES), show_default=True, help="which noises, in this order")
@click.option("--side", default="positive", show_default=True, help="positive, or both")
def noise(text_column: str, kinds: str, side: str, **common: Any) -> None:
    """Pair each text with a slightly damaged copy.

    \b
    lastword pairs noise notes.csv --text-column note --output pairs.parquet
    """
    from lastword.pairs import Noise

    chosen = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
    _run(Noise(text_column, chosen, side), **common)


@click.command()
@_common
@_text_column
@click.option("--mode", default="spans", show_default=True, help="spans, or neighbouring sentences")
@click.option("--min-words", default=5, show_default=True, help="shortest piece")
@click.option("--max-words", default=60, show_default=True, help="longest piece")
@click.option("--per-document", default=1, show_default=True, help="pairs of one document at most")
def crop(text_column: str, **options: Any) -> None:
    """Pair two pieces of each document.

    For corpora without labels of any kind.

    \b
    lastword pairs crop articles.jsonl --output pairs.parquet --per-document 3
    """
    from lastword.pairs import Crop

    own = {name: options.pop(name) for name in ("mode", "min_words", "max_words", "per_document")}
    _run(Crop(text_column, **own), **options)


@click.command()
@_common
@_text_column
@click.option("--label-column", default="label", show_default=True, help="column of the labels")
@click.option("--no-negatives", is_flag=True, help="draw no hard negative from another label")
def labels(text_column: str, label_column: str, no_negatives: bool, **common: Any) -> None:
    """Pair texts of the same label; the hard negative has another.

    \b
    lastword pairs labels emotions.parquet --output pairs.parquet
    """
    from lastword.pairs import SameLabel

    method = SameLabel(common["file"], text_column, label_column, not no_negatives, common["seed"])
    _run(method, **common)


@click.command("import")
@_common
@click.option("--preset", help="columns of a known kind of data: nli, sts, duplicates, title")
@click.option("--anchor-column", help="column of the anchors  [default: anchor]")
@click.option("--positive-column", help="column of the positives  [default: positive]")
@click.option("--negative-column", help="column of hard negatives")
@click.option("--score-column", help="column of similarities")
@click.option("--least", type=float, help="lowest score that counts as a positive")
def import_(preset: str | None, **options: Any) -> None:
    """Take pairs that somebody made.

    Any two columns will do, with or without hard negatives and scores.

    \b
    lastword pairs import nli.csv --preset nli --output pairs.parquet
    lastword pairs import sts.parquet --preset sts --least 4 --output pairs.parquet
    lastword pairs import posts.jsonl --anchor-column title --positive-column body --output pairs.parquet
    lastword pairs import hub:owner/name --preset nli --output pairs.parquet
    """
    from lastword.errors import RequestError, unknown_name
    from lastword.pairs import PRESETS, Import

    if preset is not None and preset not in PRESETS:
        raise RequestError(unknown_name("preset", preset, PRESETS))
    own = dict(PRESETS[preset]) if preset else {}
    for name in ("anchor_column", "positive_column", "negative_column", "score_column"):
        given = options.pop(name)
        own |= {name: given} if given else {}
    least = options.pop("least")
    own |= {"min_score": least} if least is not None else {}
    if own.get("score_column") and "min_score" not in own:
        raise RequestError(
            f"column {own['score_column']!r} holds scores: give --least, the lowest that counts as a positive"
        )
    _run(Import(**own), **options)


@click.command()
@_common
@_text_column
def dropout(text_column: str, **common: Any) -> None:
    """Pair each text with itself.

    Dropout in the training makes the difference, as in SimCSE.

    \b
    lastword pairs dropout notes.txt --output pairs.parquet
    """
    from lastword.pairs import SameText

    _run(SameText(text_column), **common)


COMMANDS = (generate, translate, noise, crop, labels, import_, dropout)
