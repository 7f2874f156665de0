"""Which template, pooling and layer: the bundled model probed on development parts of public sets.

    python tools/results/probe_real.py            # writes results/probe.json; call again to resume

The texts are those that `real_texts.py` does not report on (LASTWORD_DATA or ../shared/data), and the
development split of the bundled topics (the model's vectors hardly separate the products). Every finished set
is stored, and every part of the options of an unfinished one. Besides the scores it stores the answers to the
questions of arXiv:2507.22729, §4.1 and §4.2, about the layer, and how well each label-free score orders the
options.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from real_texts import CLUSTERING, ROOT, unreported

from lastword import Embedder, console, probe
from lastword.bundled import path_of
from lastword.files.tables import read_texts
from lastword.probing import Option
from lastword.probing.measures import MEASURES
from lastword.probing.result import Key, correlations, ranked
from lastword.uncertainty import Score

RESULTS = ROOT / "results" / "probe.json"
MOST_TEXTS, SEED = 500, 2
SCORES = [name for name in MEASURES if name != "accuracy"]
LABEL_FREE = [name for name in SCORES if not MEASURES[name].labelled]
PAPER_POOLINGS = ("mean", "lasttoken", "eos")
# The last one leaves out the template's tokens, which the paper blames in §4.2.
POOLINGS = (*PAPER_POOLINGS, "mean:text")
COLUMNS = ["template", "pooling", "layer", "draws", "draw_se", "chance", "ami", *SCORES]
"""Of a row in the file; the four before the scores are those of the V-measure."""

Row = dict[str, Any]
Set = dict[str, Any]


def development() -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, texts and labels; a set of which `real_texts.py` reports every text is left out."""
    for name in CLUSTERING:
        texts, labels = unreported(name, MOST_TEXTS, SEED)
        if texts:
            yield name, texts, labels
    columns = read_texts(path_of("topics"), ["text", "label"], where={"split": "dev"})
    yield "topics (dev)", columns["text"], columns["label"]


def probed(name: str, texts: list[str], labels: list[str], work: Path) -> Set:
    """Every option of one set with all scores, and how the label-free ones order the options."""
    torch.set_num_threads(1)  # one set on each core; k-means takes one thread in any case
    result = probe(
        "mini",
        texts,
        labels=labels,
        poolings=POOLINGS,
        max_texts=MOST_TEXTS,
        scores=SCORES,
        seed=SEED,
        output=work / name.replace(" ", "_"),
        resume=True,
        overwrite=True,
    )
    content = result.to_dict()
    del content["options"]
    return {
        **content,
        "correlations": rounded(result.correlations),
        "indistinguishable": len(result.indistinguishable),
        "rows": [row_of(option) for option in result.options],
    }


def row_of(option: Option) -> Row:
    clustering = option.scores["v_measure"]
    assert clustering.chance is not None
    assert clustering.ami is not None
    return {
        "template": option.template,
        "pooling": option.pooling,
        "layer": option.layer,
        "draws": [round(value, 4) for value in clustering.draws],
        "draw_se": round(clustering.draw_se, 4),
        "chance": round(clustering.chance, 4),
        "ami": round(clustering.ami, 4),
        **rounded({name: option.scores[name].value for name in SCORES}),
    }


def rounded(values: dict[str, float | None] | dict[str, float]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in values.items()}


def answers(sets: dict[str, Set]) -> dict[str, Any]:
    """Answers from all sets; every number is a V-measure, and a mean over the sets if nothing else is said."""
    last = max(row["layer"] for one in sets.values() for row in one["rows"])
    means = mean_scores(sets)
    templates = list(dict.fromkeys(point[0] for point in means))
    poolings = list(dict.fromkeys(point[1] for point in means))
    ranked = sorted(means, key=lambda point: -means[point])
    return {
        "last_layer": last,
        "poolings_without_template": {p: round(means["none", p, last], 4) for p in PAPER_POOLINGS},
        "templates": {t: {p: round(means[t, p, last], 4) for p in poolings} for t in templates},
        "layers": {
            f"{t} {p}": [round(means[t, p, layer], 4) for layer in range(last + 1)]
            for t, p in (("none", "mean"), ("ccw", "mean"), ("none", "lasttoken"), ("ccw", "lasttoken"))
        },
        "best_layer": {
            f"{t} {p}": max(range(last + 1), key=lambda layer: means[t, p, layer])
            for t in templates
            for p in poolings
        },
        "best": [[*point, round(means[point], 4)] for point in ranked[:10]],
        "label_free": {
            scope: {score: label_free(sets, score, layers) for score in LABEL_FREE}
            for scope, layers in (("all layers", range(last + 1)), ("last layer", [last]))
        },
        "sets": {
            name: {**extremes(one["rows"]), **{key: one[key] for key in ("compared", "indistinguishable")}}
            for name, one in sets.items()
        },
        "options": len(means),
        "draw_se": round(median(draw_se_of_means(sets)), 4),
    }


def by_option(sets: dict[str, Set], name: str) -> dict[Key, list[float]]:
    """Option → a value of each set."""
    values: dict[Key, list[float]] = {}
    for one in sets.values():
        for row in one["rows"]:
            values.setdefault((row["template"], row["pooling"], row["layer"]), []).append(row[name])
    return values


def mean_scores(sets: dict[str, Set]) -> dict[Key, float]:
    return {key: fmean(values) for key, values in by_option(sets, "v_measure").items()}


def draw_se_of_means(sets: dict[str, Set]) -> list[float]:
    """For each option the standard error of its mean over the sets from the draws of k-means, not from the sets."""
    return [
        sum(se**2 for se in values) ** 0.5 / len(values) for values in by_option(sets, "draw_se").values()
    ]


def label_free(sets: dict[str, Set], score: str, layers: Sequence[int]) -> dict[str, Any]:
    """For each set, over options of some layers: ρ with V-measure, and the V-measure of the option ranked first."""
    answer: dict[str, dict[str, Any]] = {"correlations": {}, "picks": {}, "picked": {}, "best": {}}
    for name, one in sets.items():
        options = [option_of(row) for row in one["rows"] if row["layer"] in layers]
        pick = ranked(options, score)[0]
        answer["correlations"][name] = rounded(correlations(options))[score]
        answer["picks"][name] = pick.scores["v_measure"].value
        answer["picked"][name] = list(pick.key)
        answer["best"][name] = max(option.scores["v_measure"].value for option in options)
    return answer


def option_of(row: Row) -> Option:
    scores = {name: Score(name, row[name], (), (), MOST_TEXTS, "") for name in SCORES}
    return Option(row["template"], row["pooling"], row["layer"], scores)


def extremes(rows: list[Row]) -> dict[str, Any]:
    """The best option of a set, the median one, and two that are chosen without looking."""
    last = max(row["layer"] for row in rows)
    value: Callable[[Row], float] = lambda row: row["v_measure"]  # noqa: E731
    at = {(row["template"], row["pooling"], row["layer"]): value(row) for row in rows}
    best = max(rows, key=value)
    return {
        "best": [best["template"], best["pooling"], best["layer"]],
        "best_score": value(best),
        "draw_se": best["draw_se"],
        "chance": best["chance"],
        "median": round(median(map(value, rows)), 4),
        "median of the last layer": round(median(value(row) for row in rows if row["layer"] == last), 4),
        "none mean": at["none", "mean", last],
        "ccw lasttoken": at["ccw", "lasttoken", last],
    }


def read(path: Path, base: str) -> dict[str, Set]:
    """The finished sets; none if they were measured with another bundled model, or without their draws."""
    content = json.loads(path.read_text()) if path.exists() else {"base": None}
    if content["base"] != base:
        return {}
    sets = {
        name: {**one, "rows": [dict(zip(COLUMNS, row, strict=True)) for row in one["rows"]]}
        for name, one in content["sets"].items()
    }
    return {name: one for name, one in sets.items() if one["rows"][0]["draws"]}


def write(path: Path, base: str, sets: dict[str, Set]) -> None:
    """One option on each line, so that a change can be read."""
    head = {"about": __doc__.splitlines()[0], "base": base, "answers": answers(sets), "columns": COLUMNS}
    parts = []
    for name, one in sets.items():
        rows = ",\n".join(f"   {json.dumps([row[name] for name in COLUMNS])}" for row in one["rows"])
        facts = json.dumps({key: value for key, value in one.items() if key != "rows"}).removesuffix("}")
        parts.append(f'  {json.dumps(name)}: {facts}, "rows": [\n{rows}\n  ]}}')
    lines = json.dumps(head, indent=1).removesuffix("\n}")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(lines + ',\n "sets": {\n' + ",\n".join(parts) + "\n }\n}\n")
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "probe", help="folder of unfinished sets"
    )
    parser.add_argument("--workers", type=int, default=2, help="sets that are probed at the same time")
    parser.add_argument("--fresh", action="store_true", help="measure all sets again")
    args = parser.parse_args()
    console.show_messages()
    if args.fresh:
        shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True, exist_ok=True)
    base = Embedder.from_pretrained("mini").backbone.weights_hash[:12]
    sets = {} if args.fresh else read(RESULTS, base)
    wanted = list(development())
    missing = [one for one in wanted if one[0] not in sets]
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(probed, *one, args.work): one[0] for one in missing}
        for done in as_completed(running):
            sets[running[done]] = done.result()
            write(RESULTS, base, {name: sets[name] for name, *_ in wanted if name in sets})
            print(running[done], done.result()["seconds"], done.result()["correlations"], flush=True)
    write(RESULTS, base, {name: sets[name] for name, *_ in wanted})


if __name__ == "__main__":
    main()
