"""Does the last token attend more to content words as training proceeds, and does the score follow?

    python tools/results/attention_real.py          # writes results/attention.json and a picture; repeat it to resume

Two kinds of training runs of the bundled model: 100 steps on a mixture of the bundled pairs with public ones, several
seeds, and one by the recipe `mini`, on the bundled pairs, for five times its steps at a constant learning rate. For
each checkpoint: the attention of the last token over a sample of real public texts (LASTWORD_DATA or ../shared/data),
and the V-measure on the development splits of the bundled topics and products that the run recorded.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import ROOT, bundled_development, data_folder

from lastword import Embedder, console, explain, train
from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.explanation.picture import render_picture
from lastword.files.tables import read_texts

RESULTS = ROOT / "results" / "attention.json"
PICTURE = ROOT / "docs" / "assets" / "attention.svg"
MIXTURE = "mixture of pairs, 100 steps"
SETS = ("stackoverflow_titles", "agnews", "arxiv_s2s", "twentynewsgroups_subject", "walmart_amazon_category")
TEXTS_OF_EACH = 40
# Figure 1 of arXiv:2507.22729: Llama-3.2-1B, template ccw, "a man is driving a car"; last layer, mean over
# heads, without begin-of-text; the last entry is the last token itself.
CONTENT = (5, 7, 9)  # man, driving, car
FIGURE = {
    "before training": (
        0.0028, 0.00946, 0.01233, 0.01367, 0.01075, 0.00693, 0.00172, 0.00711, 0.00317, 0.01307, 0.01187, 0.00935,
        0.02036, 0.02036, 0.01558, 0.04964, 0.18441,
    ),
    "100 steps": (
        0.00092, 0.00204, 0.00393, 0.00602, 0.00771, 0.01245, 0.00542, 0.02487, 0.01281, 0.0363, 0.00628, 0.00327,
        0.0174, 0.01283, 0.00861, 0.0265, 0.1532,
    ),
    "20,000 steps": (
        0.00414, 0.00394, 0.00498, 0.00496, 0.00661, 0.0108, 0.00777, 0.00974, 0.00661, 0.01009, 0.02452, 0.0323,
        0.03006, 0.0314, 0.03317, 0.04575, 0.0754,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Folders:
    """Public texts, the work of this script; and the hash of the base model."""

    data: Path
    work: Path
    base: str


def published() -> dict[str, dict[str, float]]:
    """The paper's three bars by the measures of `lastword explain`."""
    shares = {}
    for name, weights in FIGURE.items():
        rest = np.array(weights[:-1]) / sum(weights[:-1])
        balance = float(np.exp(-(rest * np.log(rest)).sum()) / len(rest))
        shares[name] = {"content": float(rest[list(CONTENT)].sum()), "balance": balance}
    return shares


def write_sample(data: Path, target: Path) -> Path:
    """Equal numbers of texts of each set."""
    texts = []
    for name in SETS:
        column = read_texts(data / "clustering" / f"{name}.parquet", ["text"], drop_empty=True)["text"]
        texts += random.Random(0).sample(sorted(set(column)), TEXTS_OF_EACH)
    pq.write_table(pa.table({"text": texts}), target)
    return target


def write_pairs(data: Path, target: Path, most: int = 6000) -> None:
    """Equal parts of two wordings of a sentence, of title and lead, and the bundled rewritings."""
    split = pq.read_table(data / "pairs" / "wikisplit_pairs.parquet")
    lead = pq.read_table(data / "pairs" / "wiki_title_lead.parquet")
    bundled = read_texts(path_of("pairs"), ["anchor", "positive"])
    sources = [
        list(zip(*(split.column(i).to_pylist() for i in (0, 1)), strict=True)),
        list(zip(lead["title"].to_pylist(), lead["lead"].to_pylist(), strict=True)),
        list(zip(bundled["anchor"], bundled["positive"], strict=True)),
    ]
    rng = random.Random(0)
    pairs = [pair for source in sources for pair in rng.sample(source, min(most // 3, len(source)))]
    rng.shuffle(pairs)
    anchors, positives = zip(*pairs, strict=True)
    pq.write_table(pa.table({"anchor": anchors, "positive": positives}), target)


def training_runs(steps: int, seeds: int) -> list[tuple[str, int]]:
    """Kind and seed of every training run."""
    return [(MIXTURE, seed) for seed in range(seeds)] + [(f"recipe mini, {steps} steps", 0)]


def trained(kind: str, seed: int, steps: int, folders: Folders) -> Path:
    """The folder of a training run, which is started if it does not exist."""
    recipe, mixture = read_recipe("mini"), folders.work / "pairs.parquet"
    if kind == MIXTURE:
        output = folders.work / f"{folders.base}-mixture-{seed}"
        settings = {**recipe, "pairs": [str(mixture)], "steps": 100, "max_tokens": 160, "seed": seed}
    else:
        output = folders.work / f"{folders.base}-{steps}"
        settings = {**recipe, "steps": steps, "schedule": "constant", "graph_gib": 2.0}
    if not output.exists():
        if kind == MIXTURE:
            write_pairs(folders.data, mixture)
        train(output, scorer=bundled_development(), resume=True, trackers="none", **settings)
    return output


def explained(sample: Path, run: Path, picture: Path | None) -> list[dict[str, Any]]:
    """Every checkpoint of a run, in the order of the steps."""
    explanation = explain(sample, checkpoints=run, max_texts=TEXTS_OF_EACH * len(SETS))
    if picture:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_text(f"{render_picture(explanation)}\n", encoding="utf-8")
    scores = json.loads((run / "training" / "choice.json").read_text(encoding="utf-8"))["scores"]
    fields = ("step", "content", "gain", "balance", "uniform", "kinds", "geometry")
    return [
        {**{name: model[name] for name in fields}, "score": scores[str(model["step"])]}
        for model in explanation.to_dict()["models"]
    ]


def measure(folders: Folders, seeds: int, steps: int) -> None:
    folders.work.mkdir(parents=True, exist_ok=True)
    sample = write_sample(folders.data, folders.work / "sample.parquet")
    content: dict[str, Any] = {
        "about": __doc__.splitlines()[0], "base": folders.base, "sets": list(SETS),
        "texts": TEXTS_OF_EACH * len(SETS), "criterion": bundled_development().criterion, "published": published(),
        "runs": [],
    }  # fmt: skip
    previous = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    known = previous.get("runs", []) if previous.get("base") == folders.base else []
    for kind, seed in training_runs(steps, seeds):
        result = next((run for run in known if (run["kind"], run["seed"]) == (kind, seed)), None)
        if result is None:
            run = trained(kind, seed, steps, folders)
            picture = PICTURE if (kind, seed) == (MIXTURE, 0) else None
            result = {"kind": kind, "seed": seed, "models": explained(sample, run, picture)}
        content["runs"].append(result)
        temporary = RESULTS.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(RESULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "attention_real")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of the long run")
    parser.add_argument("--fresh", action="store_true", help="discard all results and models")
    args = parser.parse_args()
    console.show_messages()
    if args.fresh:
        RESULTS.unlink(missing_ok=True)
        shutil.rmtree(args.work, ignore_errors=True)
    base = Embedder.from_pretrained("mini").backbone.weights_hash[:12]
    measure(Folders(data_folder(), args.work, base), args.seeds, args.steps)


if __name__ == "__main__":
    main()
