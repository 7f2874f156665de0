"""Small things to score: labelled clouds of vectors, labelled texts, an encoder that looks vectors up."""

from __future__ import annotations

import numpy as np

WORDS = {
    "sea": ["wave", "harbour", "tide", "sail", "anchor", "gull", "salt", "pier"],
    "kitchen": ["butter", "oven", "flour", "onion", "simmer", "whisk", "garlic", "pan"],
    "court": ["judge", "verdict", "appeal", "witness", "statute", "jury", "clerk", "bench"],
}


def clouds(n: int, labels: int, spread: float, seed: int = 0, dim: int = 8) -> tuple[np.ndarray, list[str]]:
    """n vectors around one centre for each label; (n, dim) float32."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % labels
    vectors = rng.standard_normal((labels, dim))[codes] * 3 + rng.standard_normal((n, dim)) * spread
    return vectors.astype(np.float32), [f"label {code}" for code in codes]


def topic_texts(per_label: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Sentences of four words, all of one topic, and a common one."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for label, words in WORDS.items():
        for _ in range(per_label):
            texts.append("the " + " ".join(rng.choice(words, 4, replace=False)))
            labels.append(label)
    return texts, labels


class TableEncoder:
    """Gives each text the vector it was given, and keeps account of what it was asked."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors
        self.asked: list[str] = []

    @property
    def identity(self) -> str:
        return "table-" + str(len(self.vectors))  # the same for tables of one size, on purpose

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.stack([self.vectors[text] for text in texts])


class WordEncoder:
    """Sums a fixed random vector for each word; keeps account of the texts that it was asked for."""

    name = "words"

    def __init__(self, identity: str = "words-1", dim: int = 12) -> None:
        self.identity, self.dim = identity, dim
        self.asked: list[str] = []

    def encode(self, texts):
        self.asked += texts
        return np.array([sum(self._of(word) for word in text.split()) for text in texts], np.float32)

    def _of(self, word):
        return np.random.default_rng(list(f"{self.identity} {word}".encode())).standard_normal(self.dim)


FEW_REPETITIONS = {
    "lastword.evaluation.clustering._BOOTSTRAPS": 2,
    "lastword.evaluation.clustering.STARTS": 2,
    "lastword.uncertainty.HALVES": 4,
}
"""Fewer bootstraps, starts and halves in each score; see the fixture `few_repetitions`."""
