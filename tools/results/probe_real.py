"""Which template, pooling and layer: the bundled model probed on development parts of public sets.

    python tools/results/probe_real.py            # writes results/probe.json; call again to go on

The texts are those that `real_texts.py` does not report on (LASTWORD_DATA or ../shared/data), and the
development split of the bundled topics (the model's vectors know next to nothing about the products).
Every set is kept when done, and within one every part of the grid. Besides the scores it stores what
they answer: the questions of arXiv:2507.22729, §4.1 and §4.2, the layer, and how well each label-free
score orders the options.
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
from lastword.embedding import GridPoint
from lastword.files.tables import read_texts
from lastword.probing import Option, ProbeResult
from lastword.probing.measures import MEASURES
from lastword.probing.result import correlations

RESULTS = ROOT / "results" / "probe.json"
MOST_TEXTS, SEED = 500, 2
SCORES = [name for name in MEASURES if name != "accuracy"]
LABEL_FREE = [name for name in SCORES if not MEASURES[name].labelled]
PAPER_POOLINGS = ("mean", "lasttoken", "eos")
POOLINGS = (
    *PAPER_POOLINGS,
    "mean:text",
)  # the last without the template's tokens: the paper blames them in §4.2

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
    """Every option of one set with all scores, and what they say about the label-free ones."""
    torch.set_num_threads(1)  # a set on each core; k-means takes one thread anyhow
    found = probe(
        "mini",
        texts,
        labels=labels,
        poolings=POOLINGS,
        max_texts=MOST_TEXTS,
        scores=SCORES,
        seed=SEED,
        out=work / name.replace(" ", "_"),
        resume=True,
        overwrite=True,
    )
    rows = [
        {**option.to_dict(), "scores": rounded(option.scores), "bands": rounded(option.bands)}
        for option in found.options
    ]
    return {
        **found.facts,
        "level": len(found.level),
        "correlations": rounded(found.correlations),
        "rows": rows,
    }


def rounded(values: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in values.items()}


def answers(sets: dict[str, Set]) -> dict[str, Any]:
    """What all sets together say; every number is a V-measure, a mean over the sets unless said otherwise."""
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
        "sets": {name: {**extremes(one["rows"]), "level": one["level"]} for name, one in sets.items()},
        "options": len(means),
        "band": round(median(bands_of_means(sets)), 4),
    }


def mean_scores(sets: dict[str, Set]) -> dict[tuple[str, str, int], float]:
    scores: dict[tuple[str, str, int], list[float]] = {}
    for one in sets.values():
        for row in one["rows"]:
            scores.setdefault((row["template"], row["pooling"], row["layer"]), []).append(
                row["scores"]["v_measure"]
            )
    return {point: fmean(values) for point, values in scores.items()}


def bands_of_means(sets: dict[str, Set]) -> list[float]:
    """For each option, the noise of its mean over the sets: that of the bootstraps, not of other sets."""
    bands: dict[GridPoint, list[float]] = {}
    for one in sets.values():
        for row in one["rows"]:
            bands.setdefault(point_of(row), []).append(row["bands"]["v_measure"])
    return [sum(band**2 for band in own) ** 0.5 / len(own) for own in bands.values()]


def label_free(sets: dict[str, Set], score: str, layers: Sequence[int]) -> dict[str, Any]:
    """For each set, over options of some layers: ρ with V-measure, and what the option ranked first gets."""
    found: dict[str, dict[str, Any]] = {"correlations": {}, "picks": {}, "picked": {}, "best": {}}
    for name, one in sets.items():
        rows = [row for row in one["rows"] if row["layer"] in layers]
        options = [Option(point_of(row), row["scores"], row["bands"]) for row in rows]
        pick = ProbeResult(tuple(options), score, {}).best
        found["correlations"][name] = rounded(correlations(options))[score]
        found["picks"][name] = pick.scores["v_measure"]
        found["picked"][name] = [pick.point.template, pick.point.pooling, pick.point.layer]
        found["best"][name] = max(row["scores"]["v_measure"] for row in rows)
    return found


def point_of(row: Row) -> GridPoint:
    return GridPoint(row["template"], row["pooling"], row["layer"])


def extremes(rows: list[Row]) -> dict[str, Any]:
    """The best option of a set, the median one, and two that are chosen without looking."""
    last = max(row["layer"] for row in rows)
    value: Callable[[Row], float] = lambda row: row["scores"]["v_measure"]  # noqa: E731
    at = {(row["template"], row["pooling"], row["layer"]): value(row) for row in rows}
    best = max(rows, key=value)
    return {
        "best": [best["template"], best["pooling"], best["layer"]],
        "best_score": value(best),
        "band": best["bands"]["v_measure"],
        "median": round(median(map(value, rows)), 4),
        "median of the last layer": round(median(value(row) for row in rows if row["layer"] == last), 4),
        "none mean": at["none", "mean", last],
        "ccw lasttoken": at["ccw", "lasttoken", last],
    }


def read(path: Path, base: str) -> dict[str, Set]:
    """The sets that are done; none if they were measured with another bundled model."""
    content = json.loads(path.read_text()) if path.exists() else {"base": None}
    if content["base"] != base:
        return {}
    return {
        name: {**one, "rows": [dict_of(row) for row in one["rows"]]} for name, one in content["sets"].items()
    }


def dict_of(row: list[Any]) -> Row:
    template, pooling, layer, band, *scores = row
    return {
        "template": template,
        "pooling": pooling,
        "layer": layer,
        "scores": dict(zip(SCORES, scores, strict=True)),
        "bands": {"v_measure": band},
    }


def list_of(row: Row) -> list[Any]:
    point = [row["template"], row["pooling"], row["layer"]]
    return [*point, row["bands"]["v_measure"], *(row["scores"][name] for name in SCORES)]


def write(path: Path, base: str, sets: dict[str, Set]) -> None:
    """One option on each line, so that a change can be read."""
    columns = ["template", "pooling", "layer", "band of v_measure", *SCORES]
    head = {"about": __doc__.splitlines()[0], "base": base, "answers": answers(sets), "columns": columns}
    parts = []
    for name, one in sets.items():
        rows = ",\n".join(f"   {json.dumps(list_of(row))}" for row in one["rows"])
        facts = json.dumps({key: value for key, value in one.items() if key != "rows"}).removesuffix("}")
        parts.append(f'  {json.dumps(name)}: {facts}, "rows": [\n{rows}\n  ]}}')
    lines = json.dumps(head, indent=1).removesuffix("\n}")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(lines + ',\n "sets": {\n' + ",\n".join(parts) + "\n }\n}\n")
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "probe", help="where unfinished sets are kept"
    )
    parser.add_argument("--workers", type=int, default=2, help="sets that are probed side by side")
    parser.add_argument("--fresh", action="store_true", help="forget all earlier sets")
    args = parser.parse_args()
    console.show_messages()
    if args.fresh:
        shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True, exist_ok=True)
    base = Embedder.from_pretrained("mini").weights_hash[:12]
    sets = {} if args.fresh else read(RESULTS, base)
    given = list(development())
    missing = [one for one in given if one[0] not in sets]
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(probed, *one, args.work): one[0] for one in missing}
        for done in as_completed(running):
            sets[running[done]] = done.result()
            write(RESULTS, base, {name: sets[name] for name, *_ in given if name in sets})
            print(running[done], done.result()["seconds"], done.result()["correlations"], flush=True)
    write(RESULTS, base, {name: sets[name] for name, *_ in given})


if __name__ == "__main__":
    main()
