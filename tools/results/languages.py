"""Fit the confidence that two texts are in different languages, and measure it on sentences and product names.

    python tools/results/languages.py     # writes results/languages.json; under a minute

Pairs in different languages are parallel sentences of SIB-200 in 16 languages, whole or their first six words; pairs
in one language are sentences, paraphrases, titles, and names of products of one category. The logistic curve is
fitted on half of each kind, and the table is measured on the other half.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from lastword.pairs.generating.answers import (
    _MIN_BYTES,
    LIKELY,
    _lower_case_words,
    language_margin,
    other_language,
)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "languages.json"
MOST, WORDS = 900, 6
PRIOR = 0.2  # share of pairs in different languages that the confidence assumes
Pairs = list[tuple[str, str]]


def kinds(data: Path, rng: np.random.Generator) -> Iterator[tuple[str, bool, Pairs]]:
    """Name, whether the languages differ, and the pairs."""
    rows = pq.read_table(data / "multilingual" / "sib200_16langs.parquet").to_pylist()
    sentences: dict[str, dict[str, str]] = {}
    for row in rows:
        sentences.setdefault(row["id"], {})[row["lang"]] = row["text"]
    different, same = [], []
    for by_language, following in zip(
        list(sentences.values())[::2], list(sentences.values())[1::2], strict=False
    ):
        first, second = rng.choice(sorted(by_language), 2, replace=False)
        different.append((by_language[first], by_language[second]))
        if first in following:
            same.append((by_language[first], following[first]))
    yield "sentences in different languages", True, different
    yield "six words in different languages", True, [(begin(a), begin(b)) for a, b in different]
    yield "sentences in one language", False, same
    yield "six words in one language", False, [(begin(a), begin(b)) for a, b in same]
    by_label: dict[str, list[str]] = {}
    for row in pq.read_table(data / "clustering" / "walmart_amazon_category.parquet").to_pylist():
        by_label.setdefault(row["label"], []).append(row["text"])
    yield (
        "names of products",
        False,
        [pair for names in by_label.values() for pair in zip(names[::2], names[1::2], strict=False)],
    )
    titles = pq.read_table(data / "pairs" / "wiki_title_lead.parquet").to_pylist()
    columns = list(titles[0])[:2]
    yield "titles and first sentences", False, [(row[columns[0]], row[columns[1]]) for row in titles]


def begin(text: str) -> str:
    return " ".join(text.split()[:WORDS])


def margin(text: str, answer: str) -> float | None:
    lower = _lower_case_words(text), _lower_case_words(answer)
    if min(len(words.encode()) for words in lower) < _MIN_BYTES:
        return None
    return min(language_margin(text, answer), language_margin(*lower))


def main() -> None:
    data, rng = (
        Path(os.environ.get("LASTWORD_DATA", ROOT.parent / "shared" / "data")),
        np.random.default_rng(0),
    )
    margins, different, weights, rows = [], [], [], []
    for name, differ, pairs in kinds(data, rng):
        pairs = [pairs[row] for row in rng.permutation(len(pairs))[:MOST]]
        known = [value for value in (margin(*pair) for pair in pairs[::2]) if value is not None]
        margins += known
        different += [differ] * len(known)
        weights += [(PRIOR if differ else 1 - PRIOR) / len(known)] * len(known)
        confidences = [other_language(*pair) for pair in pairs[1::2]]
        rows.append({
            "kind": name, "different": differ, "pairs": len(confidences),
            "flagged": round(float(np.mean([value >= LIKELY for value in confidences])), 4),
            "mean_confidence": round(float(np.mean(confidences)), 4),
        })  # fmt: skip
        print(rows[-1])
    scale = len(weights) / sum(weights)
    curve = LogisticRegression(C=1e6).fit(
        np.array(margins)[:, None], different, sample_weight=np.array(weights) * scale
    )
    slope, intercept = float(curve.coef_[0, 0]), float(curve.intercept_[0])
    fitted = {"margin": round(-intercept / slope, 1), "width": round(1 / slope, 1)}
    print(fitted)
    RESULTS.write_text(
        json.dumps({"about": __doc__.splitlines()[0], "curve": fitted, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
