"""What each choice of the recipe `small` is worth: training runs of SmolLM2-135M with one setting changed at a time.

    python tools/results/recipe_small.py --workers 11   # on a GPU, ten minutes; writes results/recipe_small.json
    python tools/results/recipe_small.py --only base    # only these; the others keep their results

The scores are those of development texts: parts of public sets that the sample scored by `real_texts.py` leaves out, a
set of intents, and the development split of the bundled products. A run keeps its last step. One run each; `base` has
two, which show how far the rest is chance. A run that has a result is not repeated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from passages import source_pairs, write_mixture
from real_texts import ABOUT, ROOT, data_folder, minilm_folder, unreported

from lastword import Embedder, console, train
from lastword.bundled import path_of
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.evaluation.clustering import vectors_cluster_score
from lastword.evaluation.development import Development
from lastword.files.tables import read_texts
from lastword.training import LastStep

RESULTS = ROOT / "results" / "recipe_small.json"
TEXTS, SEED, BOOTSTRAP_SIZE = 1000, 3, 2048
PUBLIC_SETS = (
    "stackoverflow_titles", "arxiv_s2s", "agnews", "twentynewsgroups_subject", "walmart_amazon_category",
    "masakhanews_eng",
)  # fmt: skip
BASE: dict[str, Any] = {
    "model": "smollm2", "template": "ccw", "pooling": "lasttoken", "layer": 28, "max_tokens": 64, "steps": 60,
    "batch_pairs": 48, "temperature": 0.05, "learning_rate": 3e-4, "warmup_steps": 5, "schedule": "linear", "rank": 32,
    "alpha": 32.0, "dropout": 0.0, "batch_tokens": 16_384, "graph_gib": 5.0,
}  # fmt: skip
ALL = {"rewritings": 3600}
PASSAGES = ALL | {
    f"{method}_{name}": 600 for name in ("wiki", "arxiv") for method in ("crop", "key", "first")
}
"""The bundled pairs and pieces of public documents, see passages.py."""
LONG: dict[str, Any] = {"steps": 90, "batch_pairs": 96, "learning_rate": 6e-4}
"""A longer run."""
PARTS = ("key_wiki", "key_arxiv", "first_wiki", "first_arxiv", "sentences", "title_lead")
MIXTURES: dict[str, dict[str, int]] = {
    "key_arxiv": ALL | {"key_arxiv": 1200},
    "key_wiki": ALL | {"key_wiki": 1200},
    "crop_wiki": ALL | {"crop_wiki": 800},
    "crop_arxiv": ALL | {"crop_arxiv": 800},
    "short crops": ALL | {"short_wiki": 800, "short_arxiv": 800},
    "first_arxiv": ALL | {"first_arxiv": 1200},
    "first_wiki": ALL | {"first_wiki": 1200},
    "title_lead": ALL | {"title_lead": 1200},
    "sentences": ALL | {"sentences": 1500},
    "all parts": ALL | dict.fromkeys(PARTS, 600),
    "all parts, no rewritings": dict.fromkeys(PARTS, 600),
    "no questions": {f"re_{style}": 720 for style in ("detail", "metaphor", "simple", "teacher")},
    "no metaphors": {f"re_{style}": 720 for style in ("detail", "question", "simple", "teacher")},
    "three styles": {f"re_{style}": 720 for style in ("detail", "simple", "teacher")},
    "key_wiki alone": {"key_wiki": 6000},
    "keys alone": {"key_wiki": 3000, "key_arxiv": 3000},
}
"""Name → pairs of each source, see passages.py; `base` has the rewritings alone."""
WIKI = ALL | {f"{method}_wiki": 1200 for method in ("crop", "key", "first")}
SUBJECTS = ALL | {"subjects": 4000}
ARXIV = ALL | {f"{method}_arxiv": 1200 for method in ("crop", "key", "first")}


@dataclass(frozen=True)
class Run:
    """A training run: settings that differ from the base, and its pairs."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=lambda: ALL)
    seed: int = 0
    after: tuple[str, ...] = ()
    """What is done to the vectors besides, see `after_training`."""

    @property
    def key(self) -> str:
        """Of its result."""
        return f"{self.name} {self.seed}"


def runs() -> list[Run]:
    changes: dict[str, dict[str, Any]] = {
        **{f"zero-shot, {template} {pooling}": {"steps": 0, "template": template, "pooling": pooling}
           for template, pooling in (("ccw", "lasttoken"), ("none", "mean"), ("sum", "lasttoken"),
                                     (ABOUT, "lasttoken"))},
        **{f"learning rate {rate:g}": {"learning_rate": rate} for rate in (1e-4, 6e-4, 1e-3)},
        **{f"temperature {value}": {"temperature": value} for value in (0.02, 0.03, 0.1)},
        **{f"rank {rank}": {"rank": rank, "alpha": float(rank)} for rank in (8, 64)},
        **{f"{steps} steps": {"steps": steps} for steps in (30, 120, 180)},
        **{f"{count} pairs a step": {"batch_pairs": count} for count in (24, 96)},
        **{f"layer {layer}": {"layer": layer} for layer in (20, 22, 24, 26)},
        "all 30 layers": {"layer": None},
        **{f"{template} {pooling}": {"template": template, "pooling": pooling}
           for template, pooling in (("none", "mean"), ("sum", "lasttoken"), ("ccw", "mean"), ("ccp", "lasttoken"),
                                     ("eol", "lasttoken"))},
        **{f"adapters in the upper {count}": {"adapt_layers": count} for count in (8, 14)},
        "dropout 0.1": {"dropout": 0.1},
        "adapters of q and v alone": {"projections": ["q", "v"]},
    }  # fmt: skip
    found = [Run("base"), Run("base", seed=1)]
    after = ("centred", "half whitened", "without the first component")
    found += [
        Run(name, change, after=after if "steps" in change and not change["steps"] else ())
        for name, change in changes.items()
    ]
    found += [Run(f"pairs: {name}", {}, parts) for name, parts in MIXTURES.items()]
    found += [
        Run("Wikipedia", LONG, WIKI, after=("centred",)),
        Run("Wikipedia, learning rate 1e-3", LONG | {"learning_rate": 1e-3}, WIKI),
        Run(
            "Wikipedia, rank 64, temperature 0.07",
            LONG | {"rank": 64, "alpha": 64.0, "temperature": 0.07},
            WIKI,
        ),
        Run("Wikipedia, upper 14 layers, 120 steps", LONG | {"steps": 120, "adapt_layers": 14}, WIKI),
        Run("Wikipedia, 180 steps of 48", LONG | {"steps": 180, "batch_pairs": 48}, WIKI),
        Run("arXiv", LONG, ARXIV),
        Run("subjects, upper 14 layers", {"adapt_layers": 14}, SUBJECTS),
        Run("subjects, temperature 0.1", {"adapt_layers": 14, "temperature": 0.1}, SUBJECTS),
        Run("subjects, hard negatives", {"adapt_layers": 14}, ALL | {"subjects_hard": 4000}),
        Run("subjects, upper 14 layers, 90 steps of 96", LONG | {"adapt_layers": 14}, SUBJECTS),
        Run("passages", LONG, PASSAGES, after=("partly whitened",)),
        Run("passages, ccp", LONG | {"template": "ccp"}, PASSAGES),
        Run("passages, sum", LONG | {"template": "sum"}, PASSAGES),
        Run(
            "passages, upper 8 layers, 150 steps, learning rate 1e-3",
            LONG | {"steps": 150, "adapt_layers": 8, "learning_rate": 1e-3},
            PASSAGES,
        ),
    ]
    return found


def development() -> dict[str, tuple[list[str], list[str]]]:
    """Name → (texts, labels); nothing that `real_texts.py` reports on."""
    sets = {name: unreported(name, TEXTS, SEED) for name in PUBLIC_SETS}
    intents = read_texts(data_folder() / "classification" / "clinc150.parquet", ["text"], labels=["label"])
    rows = random.Random(SEED).sample(range(len(intents["text"])), TEXTS)
    sets["clinc150"] = tuple([intents[column][row] for row in rows] for column in ("text", "label"))  # type: ignore[assignment]
    products = read_texts(path_of("products"), ["text", "label"], where={"split": "dev"})
    return sets | {"products": (products["text"], products["label"])}


def after_training(vectors: np.ndarray, name: str) -> np.ndarray:
    """Vectors (n, dim) without their mean, and perhaps without what they share besides.

    Whitening divides each principal component by a power of its standard deviation: a half, or a quarter.

    Source: all-but-the-top, arXiv:1702.01417; whitening, arXiv:2103.15316.
    """
    centred = vectors - vectors.mean(0)
    left, deviations, components = np.linalg.svd(centred, full_matrices=False)
    if name == "without the first component":
        centred = centred - np.outer(centred @ components[0], components[0])
    elif name != "centred":
        power = 0.5 if name == "half whitened" else 0.25
        centred = (left * deviations) / (deviations + 1e-6 * deviations[0]) ** power
    unit: np.ndarray = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return unit


def scores(encoder: TextEncoder, sets: Development, after: str | None = None) -> dict[str, float]:
    """V-measure × 100 by set."""
    found = {}
    for name, (texts, labels) in sets.items():
        vectors = encoder.encode(list(texts))
        vectors = after_training(vectors, after) if after else vectors
        score = vectors_cluster_score(vectors, labels, bootstrap_size=BOOTSTRAP_SIZE, resampled=False)
        found[name] = round(100 * score.value, 2)
    return found


def row_of(run: Run, sets: Development) -> dict[str, Any]:
    """Train, score, and delete the model."""
    settings, started = BASE | run.changes, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if settings["steps"]:
            settings["pairs"] = write_mixture(Path(folder, "pairs"), source_pairs(data_folder()), run.parts)
            output = Path(folder, "model")
            train(output, scorer=LastStep(), trackers="none", seed=run.seed, **settings)
            embedder = Embedder.from_pretrained(output)
        else:
            names = ("template", "pooling", "layer")
            embedder = Embedder.from_pretrained(settings["model"], **{name: settings[name] for name in names})
        found = scores(embedder, sets)
        others = {name: scores(embedder, sets, name) for name in run.after}
    seconds = round(time.perf_counter() - started)
    pairs = run.parts if settings["steps"] else {}
    return {
        "name": run.name, "seed": run.seed, "changes": run.changes, "pairs": pairs, "scores": found, "after": others,
        "device": str(embedder.backbone.device.type), "seconds": seconds,
    }  # fmt: skip


def baselines(sets: Development) -> dict[str, dict[str, float]]:
    found = {"TF-IDF": scores(TfidfEncoder(), sets)}
    if folder := minilm_folder():
        found["all-MiniLM-L6-v2"] = scores(SentenceTransformerEncoder(folder), sets)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=sorted({run.name for run in runs()}))
    args = parser.parse_args()
    console.show_messages()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sets = development()
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
    content |= {"about": __doc__.splitlines()[0], "base": BASE}
    if "all-MiniLM-L6-v2" not in content.get("baselines", {}):
        content["baselines"] = baselines(sets)
    known = {f"{row['name']} {row['seed']}" for row in content["rows"]}
    planned = [run for run in runs() if run.key not in known and (not args.only or run.name in args.only)]
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(row_of, run, sets) for run in planned]):
            content["rows"].append(future.result())
            RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
