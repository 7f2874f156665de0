"""`lastword demo`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--out", type=Path, default=Path("lastword-demo"), show_default=True, help="folder to write")
@click.option("--seeds", default=3, show_default=True, help="trainings, for the noise band")
@click.option("--overwrite", is_flag=True, help="replace the folder")
@click.option("--json", "as_json", is_flag=True, help="print the scores as JSON")
def demo(out: Path, seeds: int, overwrite: bool, as_json: bool) -> None:
    """Adapt the bundled model on the bundled pairs, and score it before and after.

    Writes the adapted model, scores.json and report.html. Needs no network and no GPU.
    """
    from lastword.demonstration import demo as run
    from lastword.demonstration.findings import demo_summary

    result = run(out, seeds=seeds, overwrite=overwrite)
    click.echo(json.dumps(result.to_dict()) if as_json else demo_summary(result))
