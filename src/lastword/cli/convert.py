"""`lastword convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.bundled import require_gguf
from lastword.cli import options
from lastword.cli.checks import NEW, Checked, Choice
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.console import load_libraries


@command(
    "lastword convert smollm2 smollm2-folder",
    "lastword convert model.Q8_0.gguf model --dtype bfloat16",
)
@click.argument(
    "source", help="a GGUF file, a folder with one, or smollm2", type=Checked("GGUF file", require_gguf)
)
@click.argument("output", help="folder to write", type=NEW)
@option(
    options.OUTPUT, "--dtype", "float32 keeps every value; the others round and take half the space",
    type=Choice("dtype", ("float32", "bfloat16", "float16")), default="float32",
)  # fmt: skip
@shared("--overwrite", "--json")
def convert(source: str, output: Path, as_json: bool, **settings: Any) -> None:
    """Write a GGUF file as a folder of safetensors.

    The tokenizer and the chat template are written too. Every command takes a GGUF file itself as --model; a folder
    loads faster, and other libraries read it.
    """
    load_libraries("torch", "transformers")
    from lastword.embedding.gguf import Conversion
    from lastword.embedding.gguf import convert as run

    def summary(result: Conversion) -> str:
        chat = "with a chat template" if result.chat_template else "without a chat template"
        return (
            f"{result.output}: {result.architecture}, {result.parameters:,} weights in {result.dtype}, {chat}"
        )

    print_result(run(source, output, **settings), as_json, summary)
