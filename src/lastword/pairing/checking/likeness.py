"""Texts that are nearly the same among many: MinHash over runs of words, in buckets.

Source: Broder 1997, "On the resemblance and containment of documents"; locality-sensitive hashing as in
Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", ch. 3; both through datasketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lastword.extras import needed
from lastword.pairing.checking.rules import words

LIKE, PERMUTATIONS, RUN = 0.7, 64, 3


class Near:
    """Texts to be found again by texts like them."""

    def __init__(self) -> None:
        self._datasketch: Any = needed("datasketch", "pairs", "comparing many texts")
        self._index = self._datasketch.MinHashLSH(threshold=LIKE, num_perm=PERMUTATIONS)
        self._runs: dict[int, frozenset[str]] = {}

    def add(self, number: int, text: str) -> None:
        """Remember a text under a number."""
        runs = runs_of(text)
        if runs:
            self._runs[number] = runs
            self._index.insert(number, self._hash(runs))

    def like(self, text: str) -> Iterator[int]:
        """Numbers of the texts of which seven of ten runs are in common; candidates are checked exactly."""
        runs = runs_of(text)
        if runs:
            for number in self._index.query(self._hash(runs)):
                other = self._runs[number]
                if len(runs & other) >= LIKE * len(runs | other):
                    yield number

    def _hash(self, runs: Iterable[str]) -> Any:
        made = self._datasketch.MinHash(num_perm=PERMUTATIONS, seed=1)
        made.update_batch([run.encode() for run in sorted(runs)])
        return made


def runs_of(text: str) -> frozenset[str]:
    """Runs of three words; a text of fewer is one run."""
    found = words(text)
    if len(found) < RUN:
        return frozenset([" ".join(found)] if found else [])
    return frozenset(" ".join(found[i : i + RUN]) for i in range(len(found) - RUN + 1))


def repeated(texts: Iterable[str]) -> list[int]:
    """Numbers of the texts that are nearly an earlier one."""
    near, found = Near(), []
    for number, text in enumerate(texts):
        if next(near.like(text), None) is None:
            near.add(number, text)
        else:
            found.append(number)
    return found


def leaked(texts: Iterable[str], evaluation: Iterable[str]) -> list[int]:
    """Numbers of the texts that are nearly one of the evaluation texts."""
    near = Near()
    for number, text in enumerate(dict.fromkeys(evaluation)):
        near.add(number, text)
    return [number for number, text in enumerate(texts) if next(near.like(text), None) is not None]
