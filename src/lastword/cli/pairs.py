"""`lastword pairs`: one command for each way of making pairs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastword.noise import NOISES

if TYPE_CHECKING:
    from lastword.pairing.generating.engine import Answer, Engine, Prompt
    from lastword.pairing.method import Method

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
    from lastword.pairing import make_pairs

    made = make_pairs(method, file, output, seed=seed, **how)
    if as_json:
        click.echo(json.dumps(made.to_dict()))


@click.group()
def pairs() -> None:
    """Make positive pairs: two texts that mean the same.

    Every way writes anchor, positive, negative, source, method, seed and meta, works through files of any
    size in constant memory, and goes on after an interruption with --resume.
    """


@pairs.command()
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
    from lastword.pairing.generating import INSTRUCTIONS, Rewriting, forecast, read_instructions

    engine_of = {
        name: options.pop(name)
        for name in (
            "model",
            "endpoint",
            "temperature",
            "max_tokens",
            "concurrency",
            "per_minute",
            "batch_prompts",
        )
    }
    path, every, plan = options.pop("instructions"), options.pop("every"), options.pop("plan")
    prices = (options.pop("price_in"), options.pop("price_out"))
    instructions = read_instructions(path) if path else dict(INSTRUCTIONS)
    method = Rewriting(_NoEngine(), text_column, instructions, every)
    forecast(method, options["file"], *prices).say()
    if not plan:
        _run(dataclasses.replace(method, engine=_engine(**engine_of)), **options)


def _engine(
    model: str, endpoint: str | None, temperature: float, max_tokens: int, concurrency: int,
    per_minute: float | None, batch_prompts: int,
) -> Engine:  # fmt: skip
    from lastword.pairing.generating import Endpoint, LocalChat

    if endpoint:
        return Endpoint(
            model, endpoint, concurrency=concurrency, per_minute=per_minute, temperature=temperature,
            max_tokens=max_tokens,
        )  # fmt: skip
    return LocalChat(model, max_tokens, temperature, batch_prompts)


class _NoEngine:
    """Stands in for a model while nothing is asked of one: loading it may take minutes."""

    def settings(self) -> dict[str, Any]:
        return {}

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        raise NotImplementedError


@pairs.command()
@_common
@_text_column
@click.option("--via", default="de", show_default=True, help="pivot languages, one pair for each")
@click.option("--language", default="en", show_default=True, help="the texts' language")
@click.option("--models", help="names or folders of the models, with {source} and {target} in them")
def translate(text_column: str, via: str, language: str, models: str | None, **common: Any) -> None:
    """Translate each text to another language and back.

    \b
    lastword pairs translate notes.csv --text-column note --via de,fr --output pairs.parquet
    """
    from lastword.pairing.translating import NAMES, BackTranslation, ways_via

    pivots = [pivot.strip() for pivot in via.split(",") if pivot.strip()]
    _run(BackTranslation(ways_via(pivots, language, models or NAMES), text_column), **common)


@pairs.command()
@_common
@_text_column
@click.option("--kinds", default=",".join(NOISES), show_default=True, help="which noises, in this order")
@click.option("--side", default="positive", show_default=True, help="positive, or both")
def noise(text_column: str, kinds: str, side: str, **common: Any) -> None:
    """Pair each text with a slightly damaged copy.

    \b
    lastword pairs noise notes.csv --text-column note --output pairs.parquet
    """
    from lastword.pairing import Noise

    chosen = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
    _run(Noise(text_column, chosen, side), **common)


@pairs.command()
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
    from lastword.pairing import Crop

    own = {name: options.pop(name) for name in ("mode", "min_words", "max_words", "per_document")}
    _run(Crop(text_column, **own), **options)


@pairs.command()
@_common
@_text_column
@click.option("--label-column", default="label", show_default=True, help="column of the labels")
@click.option("--no-negatives", is_flag=True, help="draw no hard negative from another label")
def labels(text_column: str, label_column: str, no_negatives: bool, **common: Any) -> None:
    """Pair texts of the same label; the hard negative has another.

    \b
    lastword pairs labels emotions.parquet --output pairs.parquet
    """
    from lastword.pairing import SameLabel

    method = SameLabel(common["file"], text_column, label_column, not no_negatives, common["seed"])
    _run(method, **common)


@pairs.command("import")
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
    from lastword.pairing import PRESETS, Import

    if preset is not None and preset not in PRESETS:
        raise RequestError(unknown_name("preset", preset, PRESETS))
    own = dict(PRESETS[preset]) if preset else {}
    for name in ("anchor", "positive", "negative", "score"):
        given = options.pop(f"{name}_column")
        own |= {name: given} if given else {}
    least = options.pop("least")
    own |= {"least": least} if least is not None else {}
    if own.get("score") and "least" not in own:
        raise RequestError(
            f"column {own['score']!r} holds scores: give --least, the lowest that counts as a positive"
        )
    _run(Import(**own), **options)


@pairs.command()
@_common
@_text_column
def dropout(text_column: str, **common: Any) -> None:
    """Pair each text with itself.

    Dropout in the training makes the difference, as in SimCSE.

    \b
    lastword pairs dropout notes.txt --output pairs.parquet
    """
    from lastword.pairing import SameText

    _run(SameText(text_column), **common)


@pairs.command()
@click.argument("file", type=Path)
@click.option(
    "--evaluation", type=Path, multiple=True, help="file of texts that none of the pairs may hold; repeatable"
)
@click.option("--evaluation-column", default="text", show_default=True, help="their column")
@click.option(
    "--model", default="mini", show_default=True, help="embedder that measures how close the sides are"
)
@click.option("--template", default="ccw", show_default=True, help="its template, for a base model")
@click.option("--pooling", default="mean", show_default=True, help="its pooling, for a base model")
@click.option("--no-similarity", is_flag=True, help="embed nothing")
@click.option("--batch-pairs", default=120, show_default=True, help="size of a training batch")
@click.option("--anchor-column", default="anchor", show_default=True, help="column of the anchors")
@click.option("--positive-column", default="positive", show_default=True, help="column of the positives")
@click.option("--fix", type=Path, help="write the pairs that are left, mended, to this file")
@click.option("--report", type=Path, help="write the findings as an HTML page")
@click.option("--overwrite", is_flag=True, help="replace what --fix and --report name")
@click.option("--json", "as_json", is_flag=True, help="print the findings as JSON")
def check(
    file: Path,
    evaluation: tuple[Path, ...],
    evaluation_column: str,
    model: str,
    template: str,
    pooling: str,
    no_similarity: bool,
    batch_pairs: int,
    anchor_column: str,
    positive_column: str,
    fix: Path | None,
    report: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Say whether a file of pairs is any good.

    \b
    lastword pairs check pairs.parquet --evaluation test.parquet --report findings.html
    lastword pairs check pairs.parquet --fix better.parquet
    """
    from lastword.bundled import NAMES, path_of
    from lastword.errors import ExistingOutputError
    from lastword.pairing.checking import check_pairs, write_fixed, write_page
    from lastword.pairing.checking.table import findings_table
    from lastword.tables import read_texts

    for out in (fix, report):
        if out and out.exists() and not overwrite:
            raise ExistingOutputError(f"{out} exists: give another place or --overwrite")
    embedder = None
    if not no_similarity:
        from lastword.embedding import Embedder

        embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    texts = [
        text
        for path in evaluation
        for text in read_texts(path, [evaluation_column], drop_empty=True)[evaluation_column]
    ]
    found = check_pairs(
        path_of(str(file)) if str(file) in NAMES else file,
        evaluation=texts,
        embedder=embedder,
        batch_pairs=batch_pairs,
        anchor_column=anchor_column,
        positive_column=positive_column,
    )
    click.echo(json.dumps(found.to_dict()) if as_json else findings_table(found))
    if report:
        write_page(report, found)
    if fix:
        kept = write_fixed(found, fix, positive_column)
        click.echo(f"{kept:,} of {found.pairs:,} pairs: {fix}", err=True)


@pairs.command()
@click.argument("file", type=Path)
@click.option("--output", type=Path, required=True, help="write .parquet, .jsonl or .csv")
@click.option("--model", default="mini", show_default=True, help="embedder that finds what is near")
@click.option("--template", help="its template, for a base model")
@click.option("--pooling", help="its pooling, for a base model")
@click.option("--rank-from", default=1, show_default=True, help="nearest rank of a negative, from 0")
@click.option("--rank-to", default=50, show_default=True, help="farthest rank")
@click.option("--margin", default=0.05, show_default=True, help="cosine below the positive's, at least")
@click.option("--overwrite", is_flag=True, help="replace the output")
def mine(
    file: Path, output: Path, model: str, template: str | None, pooling: str | None, **options: Any
) -> None:
    """Find a hard negative for each pair.

    \b
    lastword pairs mine pairs.parquet --model adapted --output with-negatives.parquet
    """
    from lastword.embedding import Embedder
    from lastword.pairing.mining import mine_negatives

    embedder = Embedder.from_pretrained(model, template=template, pooling=pooling)
    mine_negatives(file, output, embedder, **options)
