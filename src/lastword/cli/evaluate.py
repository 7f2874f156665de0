"""`lastword evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lastword.cli import options
from lastword.cli.checks import NEW, TABLE, Choice
from lastword.cli.command import command, option, print_result
from lastword.cli.options import shared
from lastword.errors import RequestError
from lastword.files.sources import TableFile
from lastword.paper.switches import checked_switches
from lastword.report.table import aligned, percent, with_interval

if TYPE_CHECKING:
    from lastword.evaluation import BenchmarkResult, Evaluation, ModelScore
    from lastword.uncertainty import Difference

_SCORING = "Scoring"
_TASKS_OF = {
    "label_column": ("clustering", "classification"),
    "drop_empty": ("clustering", "classification", "sts"),
    "train_split": ("classification",),
    "samples_per_label": ("classification",),
    "score_column": ("sts",),
}
"""Option → the tasks that use it; the others are for all."""


@command(
    "lastword evaluate tickets.csv --text-column message --label-column topic --model adapted --model mini",
    "lastword evaluate pairs.csv --task sts --model adapted",
)
@click.argument(
    "data", metavar="FILE", type=TABLE, help="texts; for a retrieval a folder; or the bundled topics or products",
)  # fmt: skip
@option(
    _SCORING, "--task", "what is scored", default="clustering",
    type=Choice("task", ("clustering", "classification", "sts", "retrieval")),
)  # fmt: skip
@option(_SCORING, "--train-split", "split that a classification learns from", default="train")
@shared("--samples-per-label")
@options.as_published("score as the paper's own code does", "evaluation")
@shared("--text-column", help="column of the texts; two, A,B, for sts  [default: text]", default=None)
@shared("--label-column")
@shared("--score-column", "--split", "--max-texts", "--seed", "--drop-empty", "--encoding", "--delimiter")
@options.models(dest="models", multiple=True)
@shared("--template", "--pooling", "--long-texts", "--batch-tokens", "--dtype", "--device")
@option("Model", "--cache", "folder of cached vectors", type=NEW)
@shared("--json")
def evaluate(models: tuple[str, ...], data: TableFile, as_json: bool, **settings: Any) -> None:
    """Score models on texts of your own, by the protocols of MTEB.

    Clustering gives the V-measure of k-means against the labels; classification the accuracy of a
    logistic regression on a few texts of each label; sts Spearman's correlation of cosine and score;
    retrieval nDCG@10. TF-IDF and chance are always in the table.
    """
    _refuse_ignored(settings["task"])
    switches = checked_switches(settings.pop("as_published"), ["evaluation"])
    from lastword.evaluation import evaluate as run

    loaded = [scored_model(model, switches, settings) for model in models]
    if switches:
        settings |= dict.fromkeys(("template", "pooling", "long_texts", "dtype", "device"))
    print_result(run(loaded, data, **settings), as_json, evaluation_table)


def _refuse_ignored(task: str) -> None:
    """Refuse options that only other tasks use."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        tasks = _TASKS_OF.get(name, (task,))
        if task not in tasks and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise RequestError(f"{parameter.opts[0]} is for --task {' and '.join(tasks)}: leave it out")


def evaluation_table(result: Evaluation) -> str:
    """Models side by side: scores in percent with their standard errors, chance, and paired differences."""
    unit = {"sts": "pairs", "retrieval": "queries"}.get(result.task, "texts")
    rows = [
        (
            model_name(row),
            percent(row.score.value),
            percent(row.score.draw_se if row.score.draws else None),
            *map(percent, (row.score.text_se, row.score.chance, row.score.ami)),
            _difference(row.against_tfidf),
            "best" if row is result.best else _difference(row.against_best),
        )
        for row in result.models
    ]
    heading = ("model", result.metric.replace("_", "-"), "± draws", "± texts", "chance", "AMI")
    rows.insert(0, (*heading, "against tfidf [95 %]", "against the best [95 %]"))
    used = [i for i, cells in enumerate(zip(*rows[1:], strict=True)) if set(cells) != {"–"}]
    table = aligned([[row[i] for i in used] for row in rows])
    return f"{result.n:,} {unit} of {result.data}\n\n{table}"


def _difference(difference: Difference | None) -> str:
    return f"{with_interval(difference)} {difference.verdict}" if difference else "–"


def scored_model(model: str, switches: Sequence[str], settings: dict[str, Any]) -> Any:
    """The model's name, or with switches the model as the paper's code scores it, loaded with the settings."""
    if not switches:
        return model
    from lastword.encoders.by_name import load_encoder
    from lastword.paper.as_published import scored_as_published

    names = ("template", "pooling", "long_texts", "dtype", "device")
    loading = {name: settings.get(name) for name in names}  # a benchmark has no long_texts
    return scored_as_published(load_encoder(model, **loading), switches)


def model_name(row: ModelScore | BenchmarkResult) -> str:
    """Model, template and pooling."""
    return " ".join(name for name in (row.model, row.template, row.pooling) if name)
