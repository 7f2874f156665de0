"""`lastword export`."""

from __future__ import annotations

from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import Choice
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.exporting.formats import DTYPES, FORMATS, QUANTIZED


@command(
    "lastword export adapted --to folder --dtype bfloat16 --output small",
    "lastword export smollm2 --template ccw --pooling lasttoken --to onnx --output smollm2-onnx",
)
@click.argument(
    "model",
    type=options.TYPES["model"],
    help="mini, smollm2, smollm2-adapted; or a decoder's name or folder",
)
@option(
    options.OUTPUT, "--to", "folder: sentence-transformers, adapter: peft, gguf: llama.cpp, the others are graphs",
    default="folder", type=Choice("format", FORMATS),
)  # fmt: skip
@shared("--template", "--pooling")
@option(
    options.OUTPUT, "--dtype", "of the stored weights  [default: float32]", type=Choice("dtype", DTYPES)
)  # fmt: skip
@option(options.OUTPUT, "--quantize", "weights of a graph in 8 bits", type=Choice("quantization", QUANTIZED))
@shared("--output", required=True)
@shared("--overwrite", "--json")
def export(model: str, as_json: bool, **settings: Any) -> None:
    """Write a model in the format of another program, and prove that it gives the same vectors there.

    The export is read by that program's own library and compared with the model, as lastword check does it. Nothing is
    written if they disagree.
    """
    from lastword.exporting.export import export as run
    from lastword.exporting.formats import check_export

    check_export(
        model, **{name: settings[name] for name in ("to", "dtype", "quantize", "template", "pooling")}
    )
    print_result(run(model, **settings), as_json, lambda result: result.card.text)
