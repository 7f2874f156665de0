"""The number of groups that `lastword cluster` chooses, beside the number of labels, on texts whose labels are known.

    python tools/results/cluster_numbers.py     # writes results/cluster_numbers.json; call again to resume

For each set and model: the number that the rule chooses, and the V-measure with it, with the number of labels, and with
the number, of those that the rule tries, that would have given the highest. The rule never sees a label. Texts other
than the bundled ones are found through LASTWORD_DATA or in ../shared/data.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import numpy as np
from real_texts import ROOT, data_folder, minilm_folder
from sklearn.metrics import v_measure_score

from lastword.bundled import PATHS
from lastword.corpus.clustering.choosing import best_number, try_numbers
from lastword.corpus.clustering.partition import Centroids, k_means
from lastword.encoders.by_name import load_encoder
from lastword.files.run_folder import write_json
from lastword.files.tables import read_texts
from lastword.geometry import unit

RESULTS = ROOT / "results" / "cluster_numbers.json"
MODELS = {"mini": "mini", "all-MiniLM-L6-v2": f"sentence-transformers:{minilm_folder()}"}
SETS = ("topics", "products", "clustering/agnews", "clustering/masakhanews_eng", "clustering/sib200_eng",
        "clustering/stackoverflow_titles", "clustering/twentynewsgroups_subject", "clustering/amazon_products_1000",
        "clustering/walmart_amazon_category", "classification/banking77", "classification/emotion")  # fmt: skip
MOST_TEXTS, LEAST_TEXTS = 2000, 10
SEEDS = 2


def read_labelled(name: str) -> tuple[list[str], list[str]]:
    """Distinct texts, drawn at random, and their labels: those with enough texts to be a group."""
    path = PATHS.get(name) or data_folder() / f"{name}.parquet"
    data = read_texts(path, ["text"], labels=["label"])
    label_of = dict(zip(data["text"], data["label"], strict=True))
    texts = random.Random(0).sample(sorted(label_of), min(MOST_TEXTS, len(label_of)))
    counts = Counter(label_of[text] for text in texts)
    kept = [text for text in texts if counts[label_of[text]] >= LEAST_TEXTS]
    return kept, [label_of[text] for text in kept]


def measured(vectors: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """The chosen number and what it costs, over several seeds."""

    def v_measure(groups: int, seed: int) -> float:
        assigned, _ = Centroids(k_means(vectors, groups, seed)).assign(vectors)
        return float(v_measure_score(labels, assigned))

    chosen, with_chosen, with_labels, best = [], [], [], []
    for seed in range(SEEDS):
        candidates = try_numbers(vectors, seed)
        chosen.append(best_number(candidates))
        with_chosen.append(v_measure(chosen[-1], seed))
        with_labels.append(v_measure(len(set(labels)), seed))
        if not seed:
            scores = {each.groups: v_measure(each.groups, seed) for each in candidates}
            best = [max(scores, key=lambda number: scores[number]), round(max(scores.values()), 4)]
    return {
        "labels": len(set(labels)), "chosen": chosen, "v_chosen": round(float(np.mean(with_chosen)), 4),
        "v_labels": round(float(np.mean(with_labels)), 4), "best": best[0], "v_best": best[1],
    }  # fmt: skip


def main() -> None:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for model, source in MODELS.items():
        encoder = None
        for name in SETS:
            if any((row["model"], row["data"]) == (model, name.rpartition("/")[2]) for row in rows):
                continue
            texts, labels = read_labelled(name)
            encoder = encoder or load_encoder(source)
            row = measured(unit(encoder.encode(texts)), labels)
            rows.append({"model": model, "data": name.rpartition("/")[2], "texts": len(texts), **row})
            print(rows[-1], flush=True)
            write_json(RESULTS, {"seeds": SEEDS, "rows": rows})


if __name__ == "__main__":
    main()
