"""Calibrate `lastword.uncertainty` on vectors of public texts: equal models, known gains, halves of the texts.

    python tools/results/uncertainty.py      # writes results/uncertainty.json; call again to resume; ten minutes

Two models are equal in expectation if their vectors are those of one model with independent noise of the same
size, and one is worse by a known gain if its noise is larger. Equal recipes have training seeds that are random
projections of the vectors. The texts are found through LASTWORD_DATA or in ../shared/data.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lastword import Embedder, console
from lastword.encoder import VectorRows
from lastword.encoders.baselines import TfidfEncoder
from lastword.evaluation import sts_score, vectors_classification_score, vectors_cluster_score
from lastword.files.inputs import ScoredPairs
from lastword.files.tables import read_texts
from lastword.uncertainty import Score, compare

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "uncertainty.json"
SIZES = (200, 1000, 3000)
EQUAL = 4  # models of one quality on each sample of texts: six pairs
NOISE, MORE_NOISE = 0.3, 0.6  # of a vector's length
SEEDS, PROJECTED = 3, 24

Scorer = Callable[[np.ndarray, np.ndarray], Score]
"""Vectors (n, dim) and the rows of the pool that they are of → their score."""


@dataclass(frozen=True)
class Trial:
    """What is scored on samples of texts.

    Attributes:
        name: for the table.
        vectors: (pool, dim), each of length 1.
        score: of some rows of the pool.
        samples: samples of texts for each size.
        more_noise: of the worse model, as a share of a vector's length.
    """

    name: str
    vectors: np.ndarray
    score: Scorer
    samples: dict[int, int]
    more_noise: float = MORE_NOISE


def data_folder() -> Path:
    folder = Path(os.environ.get("LASTWORD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(f"no folder {folder}: set LASTWORD_DATA to the folder with clustering/ and pairs/")
    return folder


def labelled(data: Path, name: str, pool: int) -> tuple[list[str], list[str]]:
    """A fixed sample of a clustering set."""
    columns = read_texts(data / "clustering" / f"{name}.parquet", ["text", "label"])
    rows = np.random.default_rng(0).permutation(len(columns["text"]))[:pool]
    return [columns["text"][row] for row in rows], [columns["label"][row] for row in rows]


def unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def trials(data: Path) -> Iterator[Trial]:
    texts, labels = labelled(data, "agnews", 8_000)
    of_news = np.array(labels)
    news = unit(TfidfEncoder().fit(texts).encode(texts))
    few = {200: 40, 1000: 40, 3000: 20}
    yield Trial(
        "classification, agnews, TF-IDF", news, lambda vectors, rows: few_shot(vectors, rows, of_news), few
    )
    clusterings = {200: 40, 1000: 32, 3000: 12}
    texts, labels = labelled(data, "stackoverflow_titles", 12_000)
    of_titles = np.array(labels)
    yield Trial(
        "clustering, stackoverflow_titles, TF-IDF",
        unit(TfidfEncoder().fit(texts).encode(texts)),
        lambda vectors, rows: vectors_cluster_score(vectors, of_titles[rows].tolist()),
        clusterings,
    )
    pairs = read_texts(data / "pairs" / "sick.parquet", ["sentence1", "sentence2"], numbers=["score"])
    words = TfidfEncoder().fit([*pairs["sentence1"], *pairs["sentence2"]])
    vectors = unit(np.concatenate([words.encode(pairs[name]) for name in ("sentence1", "sentence2")], axis=1))
    golden = np.array([float(score) for score in pairs["score"]])
    yield Trial(
        "sts, sick, TF-IDF",
        vectors,
        lambda vectors, rows: correlation(vectors, rows, golden),
        dict.fromkeys(SIZES, 200),
    )
    texts, labels = labelled(data, "agnews", 6_000)
    news = unit(Embedder.from_pretrained("mini", template="none", pooling="mean").encode(texts))
    yield Trial(
        "clustering, agnews, mini",
        unit(news - news.mean(axis=0)),
        lambda vectors, rows: vectors_cluster_score(vectors, of_news[: len(texts)][rows].tolist()),
        clusterings,
        more_noise=2.0,
    )


def few_shot(vectors: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> Score:
    """Accuracy on the texts after 100 to learn from."""
    names = labels[rows].tolist()
    return vectors_classification_score(vectors[:100], names[:100], vectors[100:], names[100:])


def correlation(vectors: np.ndarray, rows: np.ndarray, golden: np.ndarray) -> Score:
    """Spearman's correlation of pairs whose two vectors are one row."""
    width = vectors.shape[1] // 2
    encoder = VectorRows(np.concatenate([vectors[:, :width], vectors[:, width:]]))
    n = len(rows)
    return sts_score(
        encoder, ScoredPairs(encoder.texts[:n], encoder.texts[n:], golden[rows].tolist(), "pairs")
    )


def noisy(vectors: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Vectors with noise of a share of their length."""
    noise = rng.standard_normal(vectors.shape) * size / vectors.shape[1] ** 0.5
    return (vectors + noise).astype(np.float32)


def measure(trial: Trial, n: int) -> dict[str, Any]:
    """Errors on equal models, and how often a known gain and equal halves of the texts are found."""
    rng = np.random.default_rng([n, *trial.name.encode()])
    train = 100 if trial.name.startswith("classification") else 0
    equal, gains, halves = [], [], []
    for _ in range(trial.samples[n] // 2):
        two = rng.permutation(len(trial.vectors))[: 2 * (n + train)]
        firsts = []
        for rows in np.split(two, 2):  # of other texts each
            part = trial.vectors[rows]
            same = [trial.score(noisy(part, NOISE, rng), rows) for _ in range(EQUAL)]
            worse = trial.score(noisy(part, trial.more_noise, rng), rows)
            equal += [compare(a, b) for a, b in itertools.combinations(same, 2)]
            gains += [compare(better, worse) for better in same]
            firsts.append(same[0])
        halves.append(abs(firsts[0].value - firsts[1].value) / np.hypot(*map(standard_error, firsts)))
    return {
        "n": n,
        "samples": trial.samples[n],
        "comparisons": len(equal),
        "equal_told_apart": share(difference.verdict != "not distinguishable" for difference in equal),
        "half_width": float(np.mean([(difference.high - difference.low) / 2 for difference in equal])),
        "gain": float(np.mean([difference.value for difference in gains])),
        "gain_found": share(difference.verdict == "better" for difference in gains),
        "gain_reversed": share(difference.verdict == "worse" for difference in gains),
        "halves": len(halves),
        "halves_within_two_standard_errors": share(ratio <= 2 for ratio in halves),
    }


def measure_seeds(trial: Trial, n: int) -> dict[str, Any]:
    """Equal recipes of three training seeds each, and one recipe that keeps half as many dimensions."""
    rng = np.random.default_rng([n, SEEDS])
    equal, gains = [], []
    for _ in range(trial.samples[n] // 2):
        rows = rng.permutation(len(trial.vectors))[: n + 100]
        part = trial.vectors[rows]

        def recipe(dims: int, part: np.ndarray = part, rows: np.ndarray = rows) -> list[Score]:
            projections = rng.standard_normal((SEEDS, part.shape[1], dims))
            return [trial.score((part @ projection).astype(np.float32), rows) for projection in projections]

        first, second, worse = recipe(PROJECTED), recipe(PROJECTED), recipe(PROJECTED // 2)
        equal.append(compare(first, second))
        gains += [compare(first, worse), compare(second, worse)]
    return {
        "n": n,
        "samples": trial.samples[n] // 2,
        "comparisons": len(equal),
        "equal_told_apart": share(difference.verdict != "not distinguishable" for difference in equal),
        "half_width": float(np.mean([(difference.high - difference.low) / 2 for difference in equal])),
        "gain": float(np.mean([difference.value for difference in gains])),
        "gain_found": share(difference.verdict == "better" for difference in gains),
        "gain_reversed": share(difference.verdict == "worse" for difference in gains),
    }


def standard_error(score: Score) -> float:
    assert score.text_se is not None
    return float(np.hypot(score.draw_se, score.text_se))


def share(outcomes: Iterator[bool]) -> float:
    return float(np.mean(list(outcomes)))


def main() -> None:
    console.show_messages()
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    finished = {(row["trial"], row["n"]) for row in rows}
    for trial in trials(data_folder()):
        measures = {trial.name: measure}
        if trial.name.startswith("classification"):
            measures[f"{trial.name}, {SEEDS} training seeds"] = measure_seeds
        for (name, measured), n in itertools.product(measures.items(), SIZES):
            if (name, n) in finished:
                continue
            values = {k: round(v, 4) if isinstance(v, float) else v for k, v in measured(trial, n).items()}
            rows.append({"trial": name, **values})
            content = json.dumps({"about": __doc__.splitlines()[0], "rows": rows}, indent=1)
            RESULTS.write_text(content + "\n")
            print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
