"""Near-duplicates among many texts: MinHash of word trigrams, with locality-sensitive hashing.

Source: Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", ch. 3; both through datasketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lastword.console import progress
from lastword.extras import needed
from lastword.pairs.checking.rules import words

THRESHOLD, PERMUTATIONS, NGRAM = 0.7, 64, 3


@dataclass(frozen=True)
class Signature:
    """A text's distinct word trigrams, and their MinHash."""

    ngrams: frozenset[str]
    minhash: Any


class Index:
    """Texts by number, to find those of which seven of ten trigrams are in common."""

    def __init__(self) -> None:
        datasketch: Any = needed("datasketch", "pairs", "the search for near-duplicates")
        self._hashes = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
        self._empty = datasketch.MinHash(
            num_perm=PERMUTATIONS, seed=1
        )  # copied: drawing permutations is slow
        self._ngrams: dict[int, frozenset[str]] = {}

    def add(self, number: int, text: Signature) -> None:
        """Add a text under a number."""
        if text.ngrams:
            self._ngrams[number] = text.ngrams
            self._hashes.insert(number, text.minhash)

    def find(self, text: Signature) -> Iterator[int]:
        """Numbers of the near-duplicates; candidates of the hashes are compared exactly."""
        if text.ngrams:
            for number in self._hashes.query(text.minhash):
                other = self._ngrams[number]
                if len(text.ngrams & other) >= THRESHOLD * len(text.ngrams | other):
                    yield number

    def sign(self, text: str) -> Signature:
        """A text's signature for this index."""
        ngrams, minhash = _ngrams(text), self._empty.copy()
        minhash.update_batch([ngram.encode() for ngram in sorted(ngrams)])
        return Signature(ngrams, minhash)


def _ngrams(text: str) -> frozenset[str]:
    """Word trigrams; a text of fewer words is one n-gram."""
    tokens = words(text)
    if len(tokens) < NGRAM:
        return frozenset([" ".join(tokens)] if tokens else [])
    return frozenset(" ".join(tokens[i : i + NGRAM]) for i in range(len(tokens) - NGRAM + 1))


def repeated(texts: Sequence[str]) -> list[int]:
    """Numbers of the texts that are near-duplicates of an earlier one."""
    index, numbers = Index(), []
    with progress("repeated pairs", len(texts)) as advance:
        for number, text in enumerate(texts):
            signature = index.sign(text)
            if next(index.find(signature), None) is None:
                index.add(number, signature)
            else:
                numbers.append(number)
            advance(1)
    return numbers


def leaked(texts: Sequence[str], evaluation: Iterable[str]) -> list[int]:
    """Numbers of the texts that are near-duplicates of an evaluation text."""
    index, numbers = Index(), []
    for number, text in enumerate(dict.fromkeys(evaluation)):
        index.add(number, index.sign(text))
    with progress("evaluation texts among the pairs", len(texts)) as advance:
        for number, text in enumerate(texts):
            if next(index.find(index.sign(text)), None) is not None:
                numbers.append(number)
            advance(1)
    return numbers
