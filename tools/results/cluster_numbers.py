"""Rules for the number of groups, `lastword cluster`'s among them, on texts whose labels are known.

    python tools/results/cluster_numbers.py     # writes results/cluster_numbers.json; call again to resume

For each set and model, numbers of groups are tried; for each, the figures that a rule reads, and what no rule sees: the
adjusted mutual information of the groups and the labels. Texts other than the bundled ones are found through
LASTWORD_DATA or in ../shared/data.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from real_texts import ROOT, data_folder, minilm_folder
from sklearn.metrics import adjusted_mutual_info_score, calinski_harabasz_score, davies_bouldin_score

from lastword.bundled import PATHS
from lastword.corpus.clustering.choosing import Candidate, best_number, try_numbers
from lastword.corpus.clustering.partition import Centroids, k_means
from lastword.corpus.clustering.rows import principal_components, project
from lastword.encoders.by_name import load_encoder
from lastword.files.run_folder import write_json
from lastword.files.tables import read_texts
from lastword.geometry import unit

RESULTS = ROOT / "results" / "cluster_numbers.json"
MODELS = {"mini": "mini", "all-MiniLM-L6-v2": f"sentence-transformers:{minilm_folder()}"}
SETS = ("topics", "products", "clustering/agnews", "clustering/sib200_eng", "clustering/stackoverflow_titles",
        "clustering/twentynewsgroups_subject", "classification/banking77")  # fmt: skip
MOST_TEXTS, LEAST_TEXTS = 1000, 8
REFERENCES = 3
Tried = list[dict[str, float]]


def of_highest(figure: str, sign: int = 1) -> Callable[[Tried], int]:
    """The number with the highest (or, with sign -1, lowest) figure."""
    return lambda tried: int(max(tried, key=lambda each: sign * each[figure])["groups"])


def present(tried: Tried) -> int:
    """The rule of `lastword cluster`."""
    names = Candidate.__annotations__
    return int(best_number([Candidate(**{name: each[name] for name in names}) for each in tried]))  # type: ignore[arg-type]


def by_gap(tried: Tried) -> int:
    """The first number whose gap is not below the next one's by more than its standard error.

    Source: Tibshirani et al., "Estimating the number of clusters in a data set via the gap statistic", 2001.
    """
    for each, following in pairwise(tried):
        if each["gap"] >= following["gap"] - following["gap_error"]:
            return int(each["groups"])
    return int(tried[-1]["groups"])


def knee(tried: Tried) -> int:
    """Where the inertia bends most: the point farthest below the line from the first to the last."""
    groups, inertia = (np.array([each[name] for each in tried]) for name in ("groups", "inertia"))
    line = np.interp(groups, groups[[0, -1]], inertia[[0, -1]])
    return int(groups[np.argmax(line - inertia)])


RULES: dict[str, Callable[[Tried], int]] = {
    "information of halves (`lastword cluster`)": present,
    "agreement of halves": of_highest("agreement"),
    "silhouette": of_highest("silhouette"),
    "Davies-Bouldin": of_highest("davies_bouldin", -1),
    "Calinski-Harabasz": of_highest("calinski_harabasz"),
    "gap statistic": by_gap,
    "knee of the inertia": knee,
}


BLIND = "√(n / 2) for n texts, whatever they are"


def blind(tried: Tried, texts: int) -> int:
    """A rule of thumb that looks at no vector: the baseline.

    Source: Mardia et al., "Multivariate analysis", 1979.
    """
    wanted = (texts / 2) ** 0.5
    return int(min((each["groups"] for each in tried), key=lambda number: abs(number - wanted)))


def read_labelled(name: str) -> tuple[list[str], list[str]]:
    """Distinct texts, drawn at random, and their labels: those with enough texts to be a group."""
    path = PATHS.get(name) or data_folder() / f"{name}.parquet"
    data = read_texts(path, ["text"], labels=["label"])
    label_of = dict(zip(data["text"], data["label"], strict=True))
    texts = random.Random(0).sample(sorted(label_of), min(MOST_TEXTS, len(label_of)))
    counts = Counter(label_of[text] for text in texts)
    kept = [text for text in texts if counts[label_of[text]] >= LEAST_TEXTS]
    return kept, [label_of[text] for text in kept]


def references(points: np.ndarray) -> list[np.ndarray]:
    """Points without groups: normal, with the covariance of the given ones."""
    mean = points.mean(0)
    _, deviations, components = np.linalg.svd(points - mean, full_matrices=False)
    scale = deviations / np.sqrt(len(points))
    draws = (np.random.default_rng(seed).normal(size=(len(points), len(scale))) for seed in range(REFERENCES))
    return [((draw * scale) @ components + mean).astype(np.float32) for draw in draws]


def inertia(points: np.ndarray, centroids: Centroids) -> float:
    """Sum of the squared distances to the nearest centroid."""
    groups, _ = centroids.assign(points)
    return float(((points - centroids.centroids[groups]) ** 2).sum())


def figures(points: np.ndarray, labels: Sequence[str]) -> Tried:
    """What the rules read, for each number of groups, and the adjusted mutual information."""
    others, tried = references(points), []
    for candidate in try_numbers(points, seed=0):
        centroids = Centroids(k_means(points, candidate.groups, seed=0))
        groups, _ = centroids.assign(points)
        logs = [
            np.log(inertia(other, Centroids(k_means(other, candidate.groups, 0, starts=1))))
            for other in others
        ]
        own = inertia(points, centroids)
        row = asdict(candidate) | {
            "calinski_harabasz": calinski_harabasz_score(points, groups),
            "davies_bouldin": davies_bouldin_score(points, groups),
            "inertia": own,
            "gap": np.mean(logs) - np.log(own),
            "gap_error": np.std(logs) * np.sqrt(1 + 1 / REFERENCES),
            "ami": adjusted_mutual_info_score(labels, groups),
        }
        tried.append({name: round(float(value), 5) for name, value in row.items()})
    return tried


def measured(vectors: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """The figures of a set, and the number that each rule chooses."""
    points = unit(vectors)
    tried = figures(project(points, *principal_components(points, seed=0)), labels)
    return {
        "labels": len(set(labels)),
        "chosen": {name: rule(tried) for name, rule in RULES.items()} | {BLIND: blind(tried, len(labels))},
        "tried": tried,
    }


def main() -> None:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for model, source in MODELS.items():
        encoder = None
        for name in SETS:
            if any((row["model"], row["data"]) == (model, name.rpartition("/")[2]) for row in rows):
                continue
            texts, labels = read_labelled(name)
            encoder = encoder or load_encoder(source)
            row = measured(encoder.encode(texts), labels)
            rows.append({"model": model, "data": name.rpartition("/")[2], "texts": len(texts), **row})
            print({key: value for key, value in rows[-1].items() if key != "tried"}, flush=True)
            write_json(RESULTS, {"rows": rows})


if __name__ == "__main__":
    main()
