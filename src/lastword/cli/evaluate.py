"""`lastword evaluate`."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

_OF_DATA = (
    "text_column", "label_column", "score_column", "split", "task", "train_split", "samples_per_label",
    "max_texts", "seed", "drop_empty",
)  # fmt: skip
_OF_BENCHMARK = ("results", "data_dir", "no_cache", "seeds", "also_poolings")


@click.command()
@click.option(
    "--model", required=True, help="name or folder of a model; mini; tfidf; sentence-transformers:NAME"
)
@click.option("--data", help="file of texts, folder of a retrieval, or the bundled topics or products")
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    help="paper-clustering, paper-eight, paper-classification, or tasks of MTEB: A,B,…; repeatable",
)
@click.option("--text-column", help="column of the texts; two with a comma for sts  [default: text]")
@click.option("--label-column", default="label", show_default=True, help="column of the labels")
@click.option("--score-column", default="score", show_default=True, help="column of the scores of pairs")
@click.option("--split", help="keep the rows whose column `split` has this value")
@click.option(
    "--task", default="clustering", show_default=True, help="clustering, classification, sts or retrieval"
)
@click.option("--template", help="template of a base model: a name or a string with {text}")
@click.option("--pooling", help="pooling of a base model")
@click.option("--train-split", default="train", show_default=True, help="split a classification learns from")
@click.option("--samples-per-label", default=8, show_default=True, help="training texts of each label")
@click.option("--max-texts", type=int, help="score a fixed sample of at most so many texts")
@click.option("--batch-tokens", type=int, help="padded tokens in one pass; bounds the memory")
@click.option("--seed", default=0, show_default=True, help="of that sample")
@click.option("--drop-empty", is_flag=True, help="leave out rows without text or label")
@click.option(
    "--data-dir", type=Path, help="folder with local copies of the benchmark's data sets, in place of the Hub"
)
@click.option(
    "--results", type=Path, help="folder of a benchmark's results; the user's cache folder by default"
)
@click.option(
    "--seeds", default=1, show_default=True, help="score each task of a benchmark with so many seeds"
)
@click.option("--cache", type=Path, help="folder of kept vectors; a benchmark's default is the user's cache")
@click.option(
    "--also-pooling",
    "also_poolings",
    multiple=True,
    help="keep this pooling's vectors too, from the same passes, for a later benchmark; repeatable",
)
@click.option("--no-cache", is_flag=True, help="keep no vectors of a benchmark")
@click.option("--dtype", help="float32 or bfloat16; what the device does best by default")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default")
@click.option("--as-published", default="", metavar="A,B,…", help="score as the paper's own code does")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def evaluate(
    model: str, data: str | None, benchmarks: tuple[str, ...], as_json: bool, **settings: Any
) -> None:
    """Score a model on texts of your own or on tasks of MTEB, by the protocols of MTEB.

    \b
    lastword evaluate --model adapted --data tickets.csv --label-column topic
    lastword evaluate --model tfidf --data tickets.csv --label-column topic
    lastword evaluate --model adapted --data pairs.csv --task sts
    lastword evaluate --model adapted --benchmark paper-eight

    Clustering gives the V-measure of k-means against the labels; classification the accuracy of a
    logistic regression on a few texts of each label; sts Spearman's correlation of cosine and score;
    retrieval nDCG@10. tfidf is the baseline to beat.

    A benchmark gets its texts from the Hub or from --data-dir, goes on where an earlier run ended, and
    names the tasks whose texts are missing.
    """
    _refuse_mixture(data, benchmarks)
    switches = [name.strip() for name in settings.pop("as_published").split(",") if name.strip()]
    if data is not None:
        _evaluate_data(
            model, data, as_json, switches, {k: v for k, v in settings.items() if k not in _OF_BENCHMARK}
        )
    else:
        _evaluate_benchmark(
            model, benchmarks, as_json, switches, {k: v for k, v in settings.items() if k not in _OF_DATA}
        )


def _refuse_mixture(data: str | None, benchmarks: tuple[str, ...]) -> None:
    if (data is None) == (not benchmarks):
        raise click.UsageError("give either --data (texts of your own) or --benchmark (tasks of MTEB)")
    context = click.get_current_context()
    foreign = _OF_BENCHMARK if data is not None else _OF_DATA
    given = [name for name in foreign if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        flag = next(option.opts[0] for option in context.command.params if option.name == given[0])
        other = "--benchmark" if data is not None else "--data"
        raise click.UsageError(f"{flag} belongs to {other}: leave it out")


def _evaluate_data(
    model: str, data: str, as_json: bool, switches: list[str], settings: dict[str, Any]
) -> None:
    from lastword.evaluation import evaluate as run

    encoder = _encoder(model, switches, ["evaluation"], settings)
    result = run(encoder, data, **settings)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
        return
    metric = result.metric.replace("_", "-")
    unit = {"sts": "pairs", "retrieval": "queries"}.get(result.task, "texts")
    for row in result.models:
        against = f", {row.against_tfidf.verdict} than tfidf" if row.against_tfidf else ""
        click.echo(_model_line(vars(row)))
        click.echo(f"{metric} {_shown(row.score)} on {result.n:,} {unit} of {data}{against}")


def _shown(score: Any) -> str:
    """Value, error of the draws, error of the texts, and chance."""
    parts = [f"{100 * score.value:.1f} ± {100 * score.draw_se:.1f} (draws)"]
    if score.text_se is not None:
        parts.append(f"± {100 * score.text_se:.1f} (texts)")
    if score.chance is not None:
        parts.append(f"chance {100 * score.chance:.1f}")
    return ", ".join(parts)


def _evaluate_benchmark(
    model: str, benchmarks: tuple[str, ...], as_json: bool, switches: list[str], settings: dict[str, Any]
) -> None:
    from lastword.evaluation import benchmark

    cache, no_cache = settings.pop("cache"), settings.pop("no_cache")
    if cache and no_cache:
        raise click.UsageError("--cache and --no-cache: give one of them")
    if no_cache and settings["also_poolings"]:
        raise click.UsageError("--also-pooling fills the cache: leave out --no-cache")
    keeps: Path | bool = False if no_cache else cache or True
    encoder = _encoder(model, switches, ["evaluation", "report"], settings)
    found = benchmark(encoder, benchmarks, cache=keeps, output=settings.pop("results"), **settings)
    result = found.to_dict()
    if switches:
        from lastword.paper.as_published import published_average

        rows = [{"score": row.score.value, "splits": row.splits} for row in found.tasks]
        result["average_as_published"] = published_average(rows, switches)
    click.echo(json.dumps(result) if as_json else _report(result))
    if not result["tasks"]:
        sys.exit(1)


def _report(result: dict[str, Any]) -> str:
    """The table of a benchmark: tasks that are there, those that are missing, and the average."""
    lines = [_model_line(result)]
    if result["tasks"]:
        lines += ["", *_aligned([_HEAD, *(_row(task) for task in result["tasks"])])]
    if any(task["few_documents"] for task in result["tasks"]):
        lines.append(
            "* few documents: mteb scores a draw of fewer than 100, so small differences mean nothing"
        )
    for missing in result["missing"]:
        name = missing["task"] + (f" ({missing['subset']})" if missing["subset"] else "")
        lines += ["", f"missing: {name}", f"  {missing['reason']}"]
        lines += [f"  its texts: {missing['dataset']}", f"  to get them {missing['how']}"]
    return "\n".join([*lines, "", *_closing(result)])


_HEAD = ("task", "metric", "score", "±", "texts", "seeds", "texts are")


def _row(task: dict[str, Any]) -> tuple[str, ...]:
    subset = "" if task["subset"] == "default" else f" ({task['subset']})"
    score, values = task["seeds"][0], [score["value"] for score in task["seeds"]]
    return (
        f"{task['task']}{subset}{' *' if task['few_documents'] else ''}",
        score["metric"].replace("_", "-"),
        f"{100 * score['value']:.1f}",
        f"{100 * score['draw_se']:.1f}",
        f"{score['n']:,}" + (f" of {task['documents']:,}" if score["n"] < task["documents"] else ""),
        f"{len(values)}" + (f" (± {100 * statistics.stdev(values):.1f})" if len(values) > 1 else ""),
        task["texts"],
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in (2, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


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


def _model_line(result: dict[str, Any]) -> str:
    how = " ".join(str(result[key]) for key in ("template", "pooling") if result[key])
    return f"{result['model']} {how}".rstrip()


def _encoder(model: str, switches: list[str], where: list[Any], settings: dict[str, Any]) -> Any:
    """The model's name, or the model as the paper's code would score it."""
    if not switches:
        return _path_or_name(model)
    from lastword.encoders.by_name import load_encoder
    from lastword.paper.as_published import scored_as_published
    from lastword.paper.switches import checked_switches

    checked_switches(switches, where)
    how = {name: settings.pop(name) for name in ("template", "pooling", "dtype", "device")}
    return scored_as_published(load_encoder(_path_or_name(model), **how), switches, where)


def _path_or_name(model: str) -> str | Path:
    return Path(model) if Path(model).is_dir() else model
