"""`lastword benchmark`."""

from __future__ import annotations

import statistics
import sys
from typing import Any

import click

from lastword.cli import options
from lastword.cli.checks import FOLDER, NEW
from lastword.cli.command import command, option, print_result
from lastword.cli.evaluate import model_name, scored_model
from lastword.cli.options import shared
from lastword.errors import RequestError
from lastword.paper.switches import checked_switches
from lastword.report.table import aligned

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
    scored = run(model, benchmarks, cache=False if no_cache else cache or True, **settings)
    result = scored.to_dict()
    if switches:
        from lastword.paper.as_published import published_average

        rows = [{"score": row.score.value, "splits": row.splits} for row in scored.tasks]
        result["average_as_published"] = published_average(rows, switches)
    print_result(result, as_json, _report)
    if not result["tasks"]:
        sys.exit(1)


def _report(result: dict[str, Any]) -> str:
    """The tasks that were scored, those that are missing, and the average."""
    lines = [model_name(result)]
    if result["tasks"]:
        lines += ["", aligned([_HEADING, *map(_row, result["tasks"])])]
    if any(task["few_documents"] for task in result["tasks"]):
        lines.append(
            "* few documents: mteb scores a draw of fewer than 100, so small differences mean nothing"
        )
    for missing in result["missing"]:
        name = missing["task"] + (f" ({missing['subset']})" if missing["subset"] else "")
        lines += ["", f"missing: {name}", f"  {missing['reason']}"]
        lines += [f"  its texts: {missing['dataset']}", f"  to get them {missing['how']}"]
    return "\n".join([*lines, "", *_closing(result)])


_HEADING = ("task", "metric", "score", "± draws", "± texts", "chance", "texts", "seeds", "texts are")


def _row(task: dict[str, Any]) -> tuple[str, ...]:
    subset = "" if task["subset"] == "default" else f" ({task['subset']})"
    score, values = task["seeds"][0], [score["value"] for score in task["seeds"]]
    return (
        f"{task['task']}{subset}{' *' if task['few_documents'] else ''}",
        score["metric"].replace("_", "-"),
        *(_percent(score[name]) for name in ("value", "draw_se", "text_se", "chance")),
        f"{score['n']:,}" + (f" of {task['documents']:,}" if score["n"] < task["documents"] else ""),
        f"{len(values)}" + (f" (± {100 * statistics.stdev(values):.1f})" if len(values) > 1 else ""),
        task["texts"],
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _closing(result: dict[str, Any]) -> list[str]:
    lines = []
    present, asked, mean = result["complete"], len(result["names"]), result["average_of_complete"]
    if result["average"] is not None:
        lines.append(f"average of {asked} tasks: {100 * result['average']:.1f}")
    elif mean is not None:
        lines.append(f"no average: {asked - present} of {asked} tasks are not complete")
        lines.append(f"average of the {present} that are: {100 * mean:.1f} (does not compare with the whole)")
    else:
        lines.append(f"no average: none of {asked} tasks is complete")
    if result.get("average_as_published") is not None:
        lines.append(f"average as the paper's code takes it: {100 * result['average_as_published']:.1f}")
    if result["encoded"] is not None:
        lines.append(f"texts embedded: {result['encoded']:,}; found in the cache: {result['from_cache']:,}")
    return [*lines, f"results: {result['output']}"]
