"""Quality against the size of the model and against the number of pairs that it is trained on.

    python tools/results/size_and_pairs.py                            # mini: two hours on one core; resumable
    python tools/results/size_and_pairs.py --recipe small --axes pairs
    python tools/results/size_and_pairs.py --models half=folder,double=folder --axes size
    python tools/results/size_and_pairs.py --texts 40 --seeds 1 --steps 2 --pairs 60 --shares 0.5,1 --output /tmp/x.json

Pairs: the recipe's steps and batch on so many of its pairs, drawn anew for each seed, and on all. Size: the recipe on
the first layers of its model, and on other models (`--models`), such as siblings by tools/pretrain, before training
and after it. V-measure on the development texts of `strategies.py`, after the last step; the differences to all pairs
and to the whole model have intervals over texts and seeds. Writes results/size_and_pairs.json.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import ROOT, unreported
from strategies import PUBLIC_SETS, SEED

from lastword import console
from lastword.bundled import PATHS, model_layers
from lastword.config import read_recipe
from lastword.embedding import Embedder
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, Development, read_development
from lastword.experiments import Comparison
from lastword.experiments.series import PlannedRun, run_series, scores_of
from lastword.files.run_folder import RunFolder, write_json
from lastword.files.tables import read_texts
from lastword.uncertainty import combine, summarize

RESULTS = ROOT / "results" / "size_and_pairs.json"
ALL = "all pairs"
Settings = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="mini")
    parser.add_argument("--axes", default="pairs,size")
    parser.add_argument("--pairs", default="120,400,1200", help="numbers of pairs, besides all")
    parser.add_argument("--shares", default="0.25,0.5,0.75,1", help="of the model's layers")
    parser.add_argument("--models", default="", help="NAME=FOLDER,…")
    parser.add_argument("--steps", type=int, help="in place of the recipe's")
    parser.add_argument("--texts", type=int, default=250, help="of each public set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "size_and_pairs")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    console.show_messages()
    settings = {key: value for key, value in read_recipe(args.recipe).items() if key != "seed"}
    settings |= {"steps": args.steps} if args.steps else {}
    sets = read_development(BUNDLED_DEVELOPMENT)
    sets = sets | {name: unreported(name, args.texts, SEED) for name in PUBLIC_SETS}
    models = dict(each.split("=", 1) for each in args.models.split(",") if each)
    sizes = of_sizes(settings, [float(share) for share in args.shares.split(",")], models)
    counts = [int(count) for count in args.pairs.split(",")]
    args.work.mkdir(parents=True, exist_ok=True)
    for axis in args.axes.split(","):
        record = {
            **settings,
            "axis": axis,
            "seeds": args.seeds,
            "variants": counts if axis == "pairs" else sizes,
        }

        def plan(folder: Path, axis: str = axis) -> list[PlannedRun]:
            if axis == "pairs":
                return with_fewer_pairs(folder, settings, counts, args.seeds)
            return [
                PlannedRun(name, seed, changed)
                for name, changed in sizes.items()
                for seed in range(args.seeds)
            ]

        comparison = series(args.work / f"{args.recipe}-{axis}", settings, plan, sets, axis, record)
        found = rows(comparison, comparison.names[-1])
        if axis == "size":
            found = [{**row, **before_training(sizes[row["name"]], sets)} for row in found]
        content = json.loads(args.output.read_text(encoding="utf-8")) if args.output.exists() else {}
        content.setdefault(args.recipe, {})[axis] = {"settings": record, "rows": found}
        write_json(args.output, content)


def series(
    work: Path, settings: Settings, plan: Any, sets: Development, axis: str, record: Settings
) -> Comparison:
    """The runs of an axis; one that is finished is read, an interrupted one goes on."""
    if not (work / "series.json").exists():
        resume = work.with_name(f"{work.name}.partial").exists()
        run_series(
            RunFolder(work, "series", resume, False), settings, plan, sets, subject=axis, record=record
        )
    return Comparison.from_dict(json.loads((work / "series.json").read_text(encoding="utf-8")))


def with_fewer_pairs(folder: Path, settings: Settings, counts: Sequence[int], seeds: int) -> list[PlannedRun]:
    """Runs on so many pairs of all files together, and on all."""
    columns: dict[str, list[str]] = {"anchor": [], "positive": []}
    for file in settings["pairs"]:
        for name, cells in read_texts(PATHS.get(file, file), list(columns)).items():
            columns[name] += cells
    runs, total = list[PlannedRun](), len(columns["anchor"])
    for count in [*sorted(count for count in counts if count < total), total]:
        for seed in range(seeds):
            chosen = random.Random(seed).sample(range(total), count)
            path = folder / f"{count}-{seed}.parquet"
            pq.write_table(
                pa.table({name: [cells[i] for i in chosen] for name, cells in columns.items()}), path
            )
            name = ALL if count == total else f"{count} pairs"
            runs.append(PlannedRun(name, seed, {**settings, "pairs": [str(path)]}, {"pairs": count}))
    return runs


def of_sizes(settings: Settings, shares: Sequence[float], models: Mapping[str, str]) -> dict[str, Settings]:
    """Name → the settings of a recipe for other models, and for the first layers of its own, the whole one last."""
    layers = settings.get("layer") or model_layers(settings["model"])
    assert layers, "a model whose depth is known without loading it"
    sizes: dict[str, Settings] = {
        name: {**settings, "model": folder, "layer": None, "adapt_layers": None}
        for name, folder in models.items()
    }
    for share in sorted(shares):
        kept = max(1, round(share * layers))
        adapted = settings.get("adapt_layers")
        changes = {"layer": kept, "adapt_layers": adapted and max(1, round(share * adapted))}
        sizes[f"{settings['model']}, {kept} layers"] = {**settings, **changes}
    return sizes


def before_training(settings: Settings, sets: Development) -> dict[str, Any]:
    """Parameters of a model, and its score without training."""
    embedder = Embedder.from_pretrained(
        settings["model"], template=settings["template"], pooling=settings["pooling"], layer=settings["layer"],
        dtype="float32",
    ).cut()  # fmt: skip
    score = combine(list(scores_of(embedder, sets).values()))
    weights = embedder.backbone.model.parameters()
    return {"parameters": sum(weight.numel() for weight in weights), "before": asdict(summarize([score]))}


def rows(comparison: Comparison, reference: str) -> list[dict[str, Any]]:
    """Mean over sets and seeds with its errors, and the difference to the reference, which needs two seeds."""
    found = []
    for name in comparison.names:
        summary, difference = comparison.summary(name), comparison.difference(name, reference)
        facts = comparison.runs_of(name)[0].facts
        found.append({
            "name": name, **facts, "mean": asdict(summary) if summary else None,
            "difference": difference.to_dict() if difference and name != reference else None,
        })  # fmt: skip
    return found


if __name__ == "__main__":
    main()
