"""Texts that are nearly the same among many: MinHash over runs of words, in buckets.

Source: Broder 1997, "On the resemblance and containment of documents"; locality-sensitive hashing as in
Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", ch. 3; both through datasketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lastword.console import progress
from lastword.extras import needed
from lastword.pairs.checking.rules import words

LIKE, PERMUTATIONS, RUN = 0.7, 64, 3


@dataclass(frozen=True)
class Signed:
    """A text's runs of words, and their MinHash."""

    runs: frozenset[str]
    hashed: Any


class Near:
    """Texts to be found again by texts like them."""

    def __init__(self) -> None:
        datasketch: Any = needed("datasketch", "pairs", "comparing many texts")
        self._index = datasketch.MinHashLSH(threshold=LIKE, num_perm=PERMUTATIONS)
        self._empty = datasketch.MinHash(num_perm=PERMUTATIONS, seed=1)  # drawing permutations takes a while
        self._runs: dict[int, frozenset[str]] = {}

    def add(self, number: int, text: Signed) -> None:
        """Remember a text under a number."""
        if text.runs:
            self._runs[number] = text.runs
            self._index.insert(number, text.hashed)

    def like(self, text: Signed) -> Iterator[int]:
        """Numbers of the texts of which seven of ten runs are in common; candidates are checked exactly."""
        if text.runs:
            for number in self._index.query(text.hashed):
                other = self._runs[number]
                if len(text.runs & other) >= LIKE * len(text.runs | other):
                    yield number

    def sign(self, text: str) -> Signed:
        """A text as this index compares it."""
        runs, hashed = runs_of(text), self._empty.copy()
        hashed.update_batch([run.encode() for run in sorted(runs)])
        return Signed(runs, hashed)


def runs_of(text: str) -> frozenset[str]:
    """Runs of three words; a text of fewer is one run."""
    found = words(text)
    if len(found) < RUN:
        return frozenset([" ".join(found)] if found else [])
    return frozenset(" ".join(found[i : i + RUN]) for i in range(len(found) - RUN + 1))


def repeated(texts: Sequence[str]) -> list[int]:
    """Numbers of the texts that are nearly an earlier one."""
    near, found = Near(), []
    with progress("repeated pairs", len(texts)) as advance:
        for number, text in enumerate(texts):
            signed = near.sign(text)
            if next(near.like(signed), None) is None:
                near.add(number, signed)
            else:
                found.append(number)
            advance(1)
    return found


def leaked(texts: Sequence[str], evaluation: Iterable[str]) -> list[int]:
    """Numbers of the texts that are nearly one of the evaluation texts."""
    near, found = Near(), []
    for number, text in enumerate(dict.fromkeys(evaluation)):
        near.add(number, near.sign(text))
    with progress("evaluation texts among the pairs", len(texts)) as advance:
        for number, text in enumerate(texts):
            if next(near.like(near.sign(text)), None) is not None:
                found.append(number)
            advance(1)
    return found
