"""`lastword train`."""

from __future__ import annotations

from typing import Any

from lastword.cli import options
from lastword.cli.checks import Choice, check_training
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.config import TrainConfig, read_recipe
from lastword.console import load_libraries

TRACKERS = (
    "none", "all", "tensorboard", "wandb", "trackio", "comet_ml", "mlflow", "aim", "clearml", "dvclive", "swanlab",
)  # fmt: skip
GROUPS = {
    "Model": ("model", "template", "pooling", "layer", "attention", "masked_steps", "masked_share", "max_tokens"),
    "Pairs": ("pairs", "encoding", "delimiter", "noise", "mixing"),
    "Loss": (
        "loss", "widths", "temperature", "temperatures", "guide", "guide_margin", "teacher", "teacher_weight",
        "teacher_template",
    ),
    "Training": (),
    "Adapter": ("rank", "alpha", "dropout", "projections", "adapt_layers"),
    "Memory": ("dtype", "quantize", "batch_tokens", "graph_gib"),
}  # fmt: skip


@command(
    "lastword train --model mini --pairs pairs.parquet --output adapted",
    "lastword train --recipe paper --model Qwen/Qwen3-0.6B --pairs pairs.parquet --output adapted",
)
@option("Model", "--recipe", "mini, small, paper, or a TOML file of settings; flags override it")
@options.settings(TrainConfig, GROUPS)
@option(
    "Training", "--trackers",
    f"experiment tracker of accelerate: {', '.join(TRACKERS)}  [default: tensorboard if it is installed]",
    type=Choice("tracker", TRACKERS), metavar="NAME",
)  # fmt: skip
@options.as_published("train as the paper's own code does", "training", group="Training")
@options.development(
    "labelled texts that choose the checkpoint; by default a tenth of the pairs is held out for it",
)  # fmt: skip
@shared("--drop-empty")
@shared("--device")
@shared("--output", required=True)
@shared("--resume", "--overwrite", "--json")
def train(recipe: str | None, as_published: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Adapt a decoder to embed, by contrastive LoRA training on pairs.

    Pairs are Parquet, JSON lines, CSV or TSV with the columns anchor, positive and perhaps negative.
    The folder loads in sentence-transformers as it is.
    """
    flags = {name: settings.pop(name) for name in TrainConfig.__dataclass_fields__}
    values = {**(read_recipe(recipe) if recipe else {}), **options.passed(flags)}
    switches = as_published or tuple(values.pop("as_published", ()))
    check_training(values)
    sets = options.read_sets(settings, encoding=values.get("encoding"), delimiter=values.get("delimiter"))
    load_libraries(*options.TRAINING_LIBRARIES)
    from lastword.evaluation.development import ClusterScorer
    from lastword.training import train as run

    if switches:
        from lastword.paper.as_published import AsPublished

        settings["variant"] = AsPublished(switches)
    scorer = ClusterScorer(sets) if sets else None
    print_result(run(settings.pop("output"), scorer=scorer, **settings, **values), as_json)
