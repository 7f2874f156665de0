"""Why the bundled model gains so little on `products`: what its vectors contain, beside simpler and larger ones.

    python tools/results/products_why.py          # writes results/products_why.json

On the development split. V-measure is one measure; a classifier with labels and the nearest neighbours show
whether the kind of goods is in the vectors at all. Word vectors counted in the text of the pretraining
(LASTWORD_DATA or ../shared/data) show whether it could be learned from that text.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from real_texts import ROOT, data_folder, minilm_folder
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from word_vectors import WordVectors

from lastword import Embedder, console, train
from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.evaluation import vectors_cluster_score
from lastword.files.tables import read_texts

RESULTS = ROOT / "results" / "products_why.json"
NEIGHBOURS = 5


def implementations(texts: list[str], work: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and vectors, each of length 1."""
    random = np.random.default_rng(0).normal(size=(len(texts), 256)).astype(np.float32)
    yield "random vectors", random / np.linalg.norm(random, axis=1, keepdims=True)
    yield "TF-IDF", TfidfEncoder().encode(texts)
    zero_shot = Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken")
    yield "mini, zero-shot (ccw, last token)", zero_shot.encode(texts)
    out = work / "adapted"
    train(out, trackers="none", **read_recipe("mini"))
    yield "mini, adapted", Embedder.from_pretrained(out).encode(texts)
    text = data_folder() / "text" / "wiki_docs.txt.xz"
    yield "word vectors from the pretraining text", WordVectors(text).encode(texts)
    if folder := minilm_folder():
        yield "all-MiniLM-L6-v2", SentenceTransformerEncoder(folder).encode(texts)


def measures(vectors: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """V-measure, accuracy of a classifier in 5-fold cross-validation, share of neighbours of the same label."""
    similarity, names = vectors @ vectors.T, np.array(labels)
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, :NEIGHBOURS]
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
    classifier = LogisticRegression(C=10, max_iter=500)
    return {
        "score": vectors_cluster_score(vectors, labels).to_dict(),
        "accuracy": round(float(cross_val_score(classifier, vectors, names, cv=folds).mean()), 4),
        "neighbours": round(float((names[nearest] == names[:, None]).mean()), 4),
    }


def main() -> None:
    console.show_messages()
    columns = read_texts(path_of("products"), ["text", "label"], where={"split": "dev"})
    texts, labels = columns["text"], columns["label"]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, vectors in implementations(texts, Path(temporary)):
            rows.append({"vectors": name, **measures(vectors, labels)})
            print(f"{name}: {100 * rows[-1]['score']['value']:.1f}", flush=True)
    RESULTS.write_text(
        json.dumps({"texts": len(texts), "labels": len(set(labels)), "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
