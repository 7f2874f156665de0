"""How many principal components `lastword cluster` should find groups in, on texts with labels.

    python tools/results/cluster_components.py    # writes results/cluster_components.json; a quarter of an hour

Vectors of three models of the development texts of `recipe_small.py`, without their mean, and reduced to so many
principal components. As many groups as there are labels are found as the command finds them, from three seeds; adjusted
mutual information of groups and labels. The interval of a difference to whole vectors is that of Student's t over sets.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import numpy as np
from real_texts import ROOT, minilm_folder
from recipe_small import development
from scipy.stats import t
from sklearn.metrics import adjusted_mutual_info_score

from lastword.corpus.clustering.partition import Centroids, k_means
from lastword.corpus.clustering.rows import principal_components, project
from lastword.encoders.by_name import load_encoder
from lastword.evaluation.development import Development
from lastword.files.run_folder import write_json
from lastword.geometry import unit

RESULTS = ROOT / "results" / "cluster_components.json"
MODELS = {
    "smollm2-adapted": "smollm2-adapted",
    "mini": "mini",
    "all-MiniLM-L6-v2": f"sentence-transformers:{minilm_folder()}",
}
COUNTS = (None, 16, 32, 64, 128)
"""Of components; None is the whole vectors."""
SEEDS = 3


def agreement(vectors: np.ndarray, labels: list[str], count: int | None) -> float:
    """AMI × 100, mean of the seeds."""
    points = unit(vectors - vectors.mean(0))
    if count is not None:
        points = project(vectors, *principal_components(vectors, 0, count))
    found = [Centroids(k_means(points, len(set(labels)), seed)).assign(points)[0] for seed in range(SEEDS)]
    return 100 * fmean(adjusted_mutual_info_score(labels, groups) for groups in found)


def rows_of(model: str, sets: Development) -> list[dict[str, Any]]:
    """A row for each number of components: the agreement by set, and the mean difference to whole vectors."""
    encoder = load_encoder(MODELS[model])
    vectors = {name: unit(encoder.encode(list(texts))) for name, (texts, _) in sets.items()}
    scores = {
        count: [agreement(vectors[name], list(labels), count) for name, (_, labels) in sets.items()]
        for count in COUNTS
    }
    return [
        {
            "model": model, "components": count,
            "ami": dict(zip(sets, np.round(found, 2).tolist(), strict=True)),
            "difference": count and difference(found, scores[None]),
        }
        for count, found in scores.items()
    ]  # fmt: skip


def difference(found: list[float], whole: list[float]) -> dict[str, float]:
    each = [one - other for one, other in zip(found, whole, strict=True)]
    margin = float(t.ppf(0.975, len(each) - 1)) * stdev(each) / len(each) ** 0.5
    value = fmean(each)
    return {"value": round(value, 2), "low": round(value - margin, 2), "high": round(value + margin, 2)}


def main() -> None:
    sets, rows = development(), list[dict[str, Any]]()
    for model in MODELS:
        rows += rows_of(model, sets)
        write_json(RESULTS, {"about": (__doc__ or "").splitlines()[0], "rows": rows})


if __name__ == "__main__":
    main()
