"""`lastword demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastword.cli import options
from lastword.cli.command import Command, print_result


@click.command(
    cls=Command,
    examples=("lastword demo", "lastword demo --seeds 1 --output quick-demo"),
)
@options.seeds(3, "training runs; their spread is part of the error bar", "Training")
@options.output("folder to write", default=Path("lastword-demo"))
@options.overwrite
@options.as_json
def demo(as_json: bool, **settings: Any) -> None:
    """Adapt the bundled model on the bundled pairs, and score it before and after.

    Writes the adapted model, scores.json and report.html. Needs no network and no GPU.
    """
    load_libraries("torch", "transformers", "peft", "accelerate", "sklearn")
    from lastword.demonstration import demo as run
    from lastword.demonstration.table import scores_table

    result = run(**settings)
    print_result(result, as_json, scores_table)
