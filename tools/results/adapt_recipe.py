"""What each choice of adapting a model that embeds already is worth: `smollm2-adapted` trained on pairs of a corpus.

    python tools/results/adapt_recipe.py                # writes results/adapt_recipe.json; ten minutes a row on a core
    python tools/results/adapt_recipe.py --only neighbours  # only these; the others keep their results

Corpora are development texts: none is in `adapt.json`. Pairs are made of one part of a corpus without its labels, and
another part is scored by V-measure. One run each; a row that has a result is not measured again.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import ROOT, data_folder, minilm_folder, unreported

from lastword import Embedder, console, make_pairs, train
from lastword.adaptation.sources import shares
from lastword.bundled import PATHS
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.evaluation.clustering import vectors_cluster_score
from lastword.experiments.pair_sources import mixed
from lastword.files.pairs import read_pair_rows
from lastword.files.tables import read_texts
from lastword.pairs import Crop, Neighbours, Noise
from lastword.training import LastStep

RESULTS = ROOT / "results" / "adapt_recipe.json"
MODEL, SEED, TEXTS, TRAINED, BOOTSTRAP_SIZE = "smollm2-adapted", 5, 3000, 2 / 3, 2048
BASE: dict[str, Any] = {
    "model": MODEL, "template": "ccw", "pooling": "lasttoken", "max_tokens": 64, "steps": 30, "batch_pairs": 96,
    "temperature": 0.05, "learning_rate": 3e-4, "warmup_steps": 5, "schedule": "linear", "rank": 32, "alpha": 32.0,
    "dropout": 0.0, "adapt_layers": 14,
}  # fmt: skip
OWN = ("crop", "noise", "neighbours")
"""Sources of pairs that are made of the corpus."""
ROWS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "recipe, neighbours (`lastword adapt`)": ({}, {"recipe": 1.0, "neighbours": 1.0}),
    "neighbours": ({}, {"neighbours": 1.0}),
    "crop, noise, neighbours=2": ({}, {"crop": 1.0, "noise": 1.0, "neighbours": 2.0}),
}
"""Name → settings that differ from the base, and the weights of the sources of pairs."""
Corpus = tuple[list[str], list[str]]


def corpora() -> dict[str, Corpus]:
    """Name → texts and labels."""
    sets = {name: unreported(name, TEXTS, SEED) for name in ("twentynewsgroups_subject", "masakhanews_eng")}
    columns = read_texts(data_folder() / "classification" / "clinc150.parquet", ["text"], labels=["label"])
    rows = list(dict(zip(columns["text"], columns["label"], strict=True)).items())
    rows = random.Random(SEED).sample(rows, min(TEXTS, len(rows)))
    return sets | {"clinc150": ([text for text, _ in rows], [label for _, label in rows])}


def parts(corpus: Corpus) -> tuple[list[str], Corpus]:
    """The texts that pairs are made of, and those that are scored."""
    texts, labels = corpus
    count = round(TRAINED * len(texts))
    return texts[:count], (texts[count:], labels[count:])


def write_pairs(texts: list[str], folder: Path) -> None:
    """A file of pairs for each source, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "texts.parquet"
    pq.write_table(pa.table({"text": texts}), file)
    for name in OWN:
        output = folder / f"{name}.parquet"
        if not output.exists():
            methods = {
                "crop": lambda: Crop(min_words=4),
                "noise": Noise,
                "neighbours": lambda: neighbours(file),
            }
            make_pairs(methods[name](), file, output, drop_empty=True)


def neighbours(file: Path) -> Neighbours:
    return Neighbours(file, Embedder.from_pretrained(MODEL))


def write_mixture(folder: Path, weights: dict[str, float], wanted: int) -> Path:
    """One file with the pairs of the sources, in the parts of their weights, as `lastword adapt` mixes them."""
    files = {name: [folder / f"{name}.parquet"] for name in OWN} | {
        "recipe": [PATHS["pairs"], PATHS["subjects"]]
    }
    rows = {name: [row for file in files[name] for row in read_pair_rows(file)] for name in weights}
    counts = shares({name: len(of_source) for name, of_source in rows.items()}, weights, wanted)
    pq.write_table(mixed(rows, counts, seed=0), folder / "mixture.parquet")
    return folder / "mixture.parquet"


def score(encoder: TextEncoder, scored: Corpus) -> float:
    """V-measure × 100."""
    vectors = encoder.encode(list(scored[0]))
    found = vectors_cluster_score(vectors, scored[1], bootstrap_size=BOOTSTRAP_SIZE, resampled=False)
    return round(100 * found.value, 2)


def row_of(
    name: str, sets: dict[str, Corpus], work: Path, changes: dict[str, Any], weights: dict[str, float]
) -> dict[str, Any]:
    """Train on each corpus, and score."""
    settings, started, found = BASE | changes, time.perf_counter(), {}
    for corpus, content in sets.items():
        texts, scored = parts(content)
        write_pairs(texts, work / corpus)
        mixture = write_mixture(work / corpus, weights, settings["steps"] * settings["batch_pairs"])
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "model")
            train(output, scorer=LastStep(), trackers="none", pairs=[str(mixture)], **settings)
            found[corpus] = score(Embedder.from_pretrained(output), scored)
    return {
        "name": name, "seed": 0, "changes": changes, "sources": weights, "scores": found, "after": {},
        "seconds": round(time.perf_counter() - started),
    }  # fmt: skip


def baselines(sets: dict[str, Corpus]) -> dict[str, dict[str, float]]:
    encoders: dict[str, TextEncoder] = {
        MODEL: Embedder.from_pretrained(MODEL),
        "TF-IDF": TfidfEncoder().fit([text for texts, _ in sets.values() for text in texts]),
    }
    if folder := minilm_folder():
        encoders["all-MiniLM-L6-v2"] = SentenceTransformerEncoder(folder)
    return {
        name: {corpus: score(encoder, parts(content)[1]) for corpus, content in sets.items()}
        for name, encoder in encoders.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(ROWS))
    parser.add_argument("--work", type=Path, help="folder for pairs, kept for the next call")
    args = parser.parse_args()
    console.show_messages()
    sets = corpora()
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
    content |= {"about": __doc__.splitlines()[0], "base": BASE}
    if "baselines" not in content:
        content["baselines"] = baselines(sets)
    known = {row["name"] for row in content["rows"]}
    with tempfile.TemporaryDirectory() as folder:
        for name, (changes, weights) in ROWS.items():
            if name not in known and (not args.only or name in args.only):
                content["rows"].append(row_of(name, sets, args.work or Path(folder), changes, weights))
                RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
