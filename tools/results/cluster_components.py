"""How many principal components k-means should see, by `lastword cluster`'s way of scaling, on texts with labels.

    python tools/results/cluster_components.py    # writes results/cluster_components.json; a quarter of an hour

Vectors of three models of the development texts of `recipe_small.py`, as they are, without their mean, and reduced to
so many principal components; V-measure by MTEB's protocol. The differences to vectors without their mean are paired.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from real_texts import ROOT, minilm_folder
from recipe_small import BOOTSTRAP_SIZE, development

from lastword.corpus.clustering.rows import principal_components, project
from lastword.encoders.by_name import load_encoder
from lastword.evaluation.clustering import vectors_cluster_score
from lastword.files.run_folder import write_json
from lastword.geometry import unit
from lastword.uncertainty import combine, compare

RESULTS = ROOT / "results" / "cluster_components.json"
MODELS = {
    "smollm2-adapted": "smollm2-adapted",
    "mini": "mini",
    "all-MiniLM-L6-v2": f"sentence-transformers:{minilm_folder()}",
}
CENTRED = "without their mean"


def components(vectors: np.ndarray, count: int) -> np.ndarray:
    return project(vectors, *principal_components(vectors, 0, count))


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda vectors: vectors,
    CENTRED: lambda vectors: unit(vectors - vectors.mean(0)),
    **{f"{count} components": partial(components, count=count) for count in (8, 16, 32, 48, 64)},
}


def rows_of(model: str) -> list[dict[str, Any]]:
    """A row for each way: V-measure × 100 by set, and the mean difference to the centred vectors."""
    encoder, sets = load_encoder(MODELS[model]), development()
    vectors = {name: unit(encoder.encode(list(texts))) for name, (texts, _) in sets.items()}
    scores = {
        way: {
            name: vectors_cluster_score(made(vectors[name]), labels, bootstrap_size=BOOTSTRAP_SIZE)
            for name, (_, labels) in sets.items()
        }
        for way, made in WAYS.items()
    }
    centred = combine(list(scores[CENTRED].values()))
    return [
        {
            "model": model, "way": way,
            "scores": {name: round(100 * score.value, 2) for name, score in found.items()},
            "difference": None if way == CENTRED else compare(combine(list(found.values())), centred).to_dict(),
        }
        for way, found in scores.items()
    ]  # fmt: skip


def main() -> None:
    found: list[dict[str, Any]] = []
    for model in MODELS:
        found += rows_of(model)
        write_json(RESULTS, {"about": (__doc__ or "").splitlines()[0], "rows": found})


if __name__ == "__main__":
    main()
