"""Texts as means of word vectors counted in the text the bundled model was pretrained on: what is there to be learned.

Word vectors are the singular vectors of the positive pointwise mutual information of words and their
neighbours; a text is the mean over its words, frequent ones weighing less.

Source: Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization"; weights of Arora,
Liang and Ma 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings".
"""

from __future__ import annotations

import lzma
import re
from collections import Counter
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

WORDS, WINDOW, DIMENSIONS = 30_000, 5, 300
SMOOTHING, WEIGHT = 0.75, 1e-4
_WORD = re.compile(r"[a-z]+")
_AT_ONCE = 8_000_000


class WordVectors:
    """Counted once from a file of documents, separated by blank lines.

    Attributes:
        number_of: word → its row.
        vectors: (words, 300), each of length 1.
        share: (words,), of all words of the file.
    """

    def __init__(self, path: Path) -> None:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            documents = [_WORD.findall(document) for document in file.read().lower().split("\n\n")]
        counts = Counter(word for document in documents for word in document)
        self.number_of = {word: row for row, (word, _) in enumerate(counts.most_common(WORDS))}
        gap = [-1] * WINDOW  # words of different documents are no neighbours
        stream = np.concatenate(
            [
                np.array([self.number_of.get(word, -1) for word in one] + gap, dtype=np.int32)
                for one in documents
            ]
        )
        together = neighbours(stream, len(self.number_of))
        self.share = np.asarray(together.sum(axis=1)).ravel() / together.sum()
        left, _, _ = randomized_svd(informative(together), DIMENSIONS, n_iter=3, random_state=0)
        self.vectors = normalize(left)

    def encode(self, texts: list[str]) -> np.ndarray:
        """(texts, 300) float32, centred, each of length 1."""
        means = np.zeros((len(texts), DIMENSIONS))
        for row, text in enumerate(texts):
            words = [self.number_of[word] for word in _WORD.findall(text.lower()) if word in self.number_of]
            means[row] = (WEIGHT / (WEIGHT + self.share[words])) @ self.vectors[words]
        return normalize(means - means.mean(axis=0)).astype(np.float32)


def neighbours(stream: np.ndarray, words: int) -> sparse.csr_matrix:
    """How often words stand near each other, (words, words); at a distance of d they count 1 / d."""
    found = sparse.csr_matrix((words, words), dtype=np.float32)
    for distance in range(1, WINDOW + 1):
        for start in range(0, len(stream) - distance, _AT_ONCE):
            here = stream[start : start + _AT_ONCE][: len(stream) - distance - start]
            there = stream[start + distance : start + distance + len(here)]
            known = (here >= 0) & (there >= 0)
            ones = np.full(int(known.sum()), 1 / distance, dtype=np.float32)
            found += sparse.coo_matrix((ones, (here[known], there[known])), shape=found.shape).tocsr()
    return (found + found.T).tocsr()


def informative(together: sparse.csr_matrix) -> sparse.csr_matrix:
    """Positive pointwise mutual information, of contexts smoothed to the power of 0.75."""
    words = np.asarray(together.sum(axis=1)).ravel()
    contexts = words**SMOOTHING
    cells = together.tocoo()
    value = np.log(cells.data * contexts.sum() / (words[cells.row] * contexts[cells.col]))
    above = value > 0
    return sparse.csr_matrix(
        (value[above].astype(np.float32), (cells.row[above], cells.col[above])), shape=together.shape
    )
