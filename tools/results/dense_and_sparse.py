"""Dense vectors, weights of words and both, with several poolings, in several fields: what finds the right document.

    python tools/results/dense_and_sparse.py                          # mini: half an hour on one core; resumable
    python tools/results/dense_and_sparse.py --model smollm2          # hours
    python tools/results/dense_and_sparse.py --fields Cranfield --ways mean,eol

nDCG@10 of Cranfield (aerodynamics), of titles of Wikipedia articles with their beginnings, and of first lines of
docstrings with Python functions; TF-IDF beside it. Nothing is trained. The difference to dense vectors of the same
pooling is paired by query. Texts are embedded once for all kinds of vectors. Writes results/dense_and_sparse.json, a
row for each model, way, field and kind; rows that are there are kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from real_texts import ROOT, UNTRAINED, data_folder
from scenarios import functions, titles_and_leads

from lastword.embedding import Embedder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.sparse import SparseEncoder
from lastword.evaluation.retrieval import document_texts, retrieval_score
from lastword.files.inputs import Collection
from lastword.files.run_folder import write_json
from lastword.geometry import unit
from lastword.uncertainty import Score, compare

RESULTS = ROOT / "results" / "dense_and_sparse.json"
WAYS = {
    "mean": {"template": "none", "pooling": "mean"},
    "weighted mean": {"template": "none", "pooling": "weightedmean"},
    "eol": {"template": "eol", "pooling": "lasttoken"},
    "echo": {"template": "echo", "pooling": "mean:text"},
}
KINDS: dict[str, dict[str, Any]] = {"words": {}, "all words": {"expand": True}, "both": {"dense": 0.5}}
"""Kind of vectors besides dense ones → settings of `SparseEncoder`."""
FIELDS: dict[str, Callable[[], Collection]] = {
    "Cranfield": lambda: Collection.read(data_folder() / "retrieval" / "cranfield", "test"),
    "Wikipedia": lambda: titles_and_leads(2000, 500),
    "code": functions,
}


class Remembered:
    """An embedder that computes the state of each text once; it has no prompts."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder, self._states = embedder, dict[str, np.ndarray]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def encode(self, texts: Sequence[str], /, normalize: bool = True) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._states]
        if new:
            self._states |= dict(zip(new, self._embedder.encode(new, normalize=False), strict=True))
        states = np.array([self._states[text] for text in texts])
        return unit(states) if normalize else states

    encode_query = encode_document = encode


def scores(model: str, way: str, collection: Collection) -> dict[str, Score]:
    """Kind of vectors → nDCG@10."""
    embedder = Embedder.from_pretrained(model, **UNTRAINED[model], **WAYS[way])
    remembered: Any = Remembered(embedder)
    found = {"dense": retrieval_score(remembered, collection)}
    for kind, settings in KINDS.items():
        found[kind] = retrieval_score(SparseEncoder(remembered, **settings), collection)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", choices=UNTRAINED)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--fields", default=",".join(FIELDS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows = json.loads(args.output.read_text(encoding="utf-8")) if args.output.exists() else []
    done = {(row["model"], row["way"], row["field"]) for row in rows}
    for field in args.fields.split(","):
        collection = FIELDS[field]()
        if ("tfidf", "", field) not in done:
            encoder = TfidfEncoder().fit(document_texts(collection))
            rows.append(row_of("tfidf", "", field, "dense", retrieval_score(encoder, collection), None))
            write_json(args.output, rows)
        for way in args.ways.split(","):
            if (args.model, way, field) in done:
                continue
            found = scores(args.model, way, collection)
            rows += [row_of(args.model, way, field, kind, score, found) for kind, score in found.items()]
            write_json(args.output, rows)
            shown = ", ".join(f"{kind} {100 * score.value:.1f}" for kind, score in found.items())
            print(f"{field}, {way}: {shown}", flush=True)


def row_of(
    model: str, way: str, field: str, kind: str, score: Score, found: dict[str, Score] | None
) -> dict[str, Any]:
    difference = compare([score], [found["dense"]]).to_dict() if found and kind != "dense" else None
    return {
        "model": model, "way": way, "field": field, "kind": kind, "ndcg_at_10": score.value,
        "text_se": score.text_se, "difference_to_dense": difference,
    }  # fmt: skip


if __name__ == "__main__":
    main()
