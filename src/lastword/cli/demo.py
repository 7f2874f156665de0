"""`lastword demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lastword.cli.command import command, print_result
from lastword.cli.options import shared
from lastword.config import recipe_for
from lastword.console import load_libraries


@command("lastword demo", "lastword demo --model smollm2 --output smollm2-demo")
@shared("--model", default="mini", help="mini (five minutes on two cores) or smollm2 (half an hour)")
@shared(
    "--seeds", default=None, help="training runs; their spread is part of the error bar [mini: 3, smollm2: 1]"
)
@shared("--max-texts", help="score on a fixed sample of at most N texts of each set")
@shared("--output", default=Path("lastword-demo"))
@shared("--resume", "--overwrite", "--json")
def demo(as_json: bool, **settings: Any) -> None:
    """Adapt a model on the bundled pairs, and score it before and after.

    Writes the adapted model, scores.json and report.html. Needs no GPU; mini needs no network either.
    """
    recipe_for(settings["model"])
    load_libraries("torch", "transformers", "peft", "accelerate", "sklearn")
    from lastword.demonstration import demo as run
    from lastword.demonstration.findings import demo_summary

    result = run(settings.pop("output"), **settings)
    print_result(result, as_json, demo_summary)
