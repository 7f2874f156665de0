"""`lastword benchmark`."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any

import click

from lastword.cli import options
from lastword.cli.checks import FOLDER, NEW
from lastword.cli.command import command, option, print_result
from lastword.cli.evaluate import model_name, scored_model
from lastword.cli.options import shared
from lastword.errors import RequestError
from lastword.paper.switches import checked_switches
from lastword.report.table import aligned, percent

if TYPE_CHECKING:
    from lastword.evaluation import BenchmarkResult, TaskScore

_DATA, _CACHE = "Data sets", "Cache"


@command(
    "lastword benchmark paper-eight --model adapted",
    "lastword benchmark Banking77Classification,EmotionClassification --model tfidf --data-dir copies",
)
@click.argument(
    "benchmarks", nargs=-1, required=True, metavar="NAME...",
    help="paper-clustering, paper-eight, paper-classification, or tasks of MTEB, also with commas between",
)  # fmt: skip
@options.models()
@shared("--template", "--pooling", "--batch-tokens", "--dtype", "--device")
@options.as_published("score and average as the paper's own code does", "evaluation", "report")
@shared("--seeds", group=options.SCORING, default=1, help="score each task with N seeds")
@option(_DATA, "--data-dir", "local copies of the data sets, in place of the Hub", type=FOLDER)
@option(
    _CACHE, "--cache", "folder of cached vectors  [default: in the user's cache folder]", type=NEW,
)  # fmt: skip
@option(_CACHE, "--no-cache", "cache no vectors", is_flag=True)
@option(
    _CACHE, "--also-pooling also_poolings",
    "cache the vectors of this pooling too, from the same passes, for a later run; repeatable",
    multiple=True, type=options.TYPES["pooling"],
)  # fmt: skip
@shared("--output", help="folder of the results  [default: in the user's cache folder]")
@shared("--json")
def benchmark(benchmarks: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """Score a model on tasks of MTEB, by MTEB's own code.

    The texts come from the Hub or from --data-dir. Tasks that an earlier run finished are not scored again,
    and tasks whose texts are missing are listed.
    """
    cache, no_cache = settings.pop("cache"), settings.pop("no_cache")
    if cache and no_cache:
        raise RequestError("--cache and --no-cache: give only one of them")
    if no_cache and settings["also_poolings"]:
        raise RequestError("--also-pooling fills the cache: leave out --no-cache")
    switches = checked_switches(settings.pop("as_published"), ["evaluation", "report"])
    from lastword.evaluation import benchmark as run

    model = scored_model(settings.pop("model"), switches, settings)
    if switches:
        settings |= dict.fromkeys(("template", "pooling", "dtype", "device"))
    result = run(model, benchmarks, cache=False if no_cache else cache or True, **settings)
    more = {}
    if switches:
        from lastword.paper.as_published import published_average

        more["average_as_published"] = published_average(result.tasks, switches)
    print_result(result, as_json, lambda result: _report(result, **more), **more)
    if not result.tasks:
        sys.exit(1)


def _report(result: BenchmarkResult, average_as_published: float | None = None) -> str:
    """The tasks that were scored, those that are missing, and the average."""
    lines = [model_name(result)]
    if result.tasks:
        lines += ["", aligned([_HEADING, *map(_row, result.tasks)])]
    if any(task.few_documents for task in result.tasks):
        lines.append(
            "* few documents: mteb scores a draw of fewer than 100, so small differences mean nothing"
        )
    for missing in result.missing:
        name = missing.task + (f" ({missing.subset})" if missing.subset else "")
        lines += ["", f"missing: {name}", f"  {missing.reason}"]
        lines += [f"  its texts: {missing.dataset}", f"  to get them {missing.how}"]
    lines += ["", *_averages(result)]
    if average_as_published is not None:
        lines.append(f"average as the paper's code takes it: {percent(average_as_published)}")
    if result.encoded is not None:
        lines.append(f"texts embedded: {result.encoded:,}; found in the cache: {result.from_cache:,}")
    return "\n".join([*lines, f"results: {result.output}"])


_HEADING = ("task", "metric", "score", "± draws", "± texts", "chance", "texts", "seeds", "texts are")


def _row(task: TaskScore) -> tuple[str, ...]:
    score, values = task.score, [score.value for score in task.seeds]
    subset = "" if task.subset == "default" else f" ({task.subset})"
    return (
        f"{task.task}{subset}{' *' if task.few_documents else ''}",
        score.metric.replace("_", "-"),
        *map(percent, (score.value, score.draw_se, score.text_se, score.chance)),
        f"{score.n:,}" + (f" of {task.documents:,}" if score.n < task.documents else ""),
        f"{len(values)}" + (f" (± {percent(statistics.stdev(values))})" if len(values) > 1 else ""),
        task.texts,
    )


def _averages(result: BenchmarkResult) -> list[str]:
    present, asked, mean = len(result.complete), len(result.names), percent(result.average_of_complete)
    if result.average is not None:
        return [f"average of {asked} tasks: {mean}"]
    if not present:
        return [f"no average: none of {asked} tasks is complete"]
    return [
        f"no average: {asked - present} of {asked} tasks are not complete",
        f"average of the {present} that are: {mean} (does not compare with the whole)",
    ]
