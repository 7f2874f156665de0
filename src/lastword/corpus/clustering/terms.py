"""Distinctive terms of groups by class-based TF-IDF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from lastword.stopwords import english_stop_words, is_content

_WORD = re.compile(r"\b[^\W\d_][\w'’-]*\w\b")
_MOST_TERMS = 50_000
MOST_TEXTS = 20_000
"""Terms are counted in at most this many texts."""


def distinctive_terms(texts: Sequence[str], groups: np.ndarray, count: int, terms: int) -> list[list[str]]:
    """Words and pairs of words that are frequent in a group and rare in the others, best first.

    The weight of term t in group c is tf(t, c) · log(1 + A / f(t)): tf is the share of t in all terms of the group, f
    its count in all groups, A the mean number of terms of a group. English stop words and their contractions are left
    out. Of terms that share a word, the best is listed.

    Args:
        texts: n texts.
        groups: (n,) 0 … count - 1; texts with another number belong to no group.
        count: number of groups.
        terms: most terms of a group.

    Returns:
        The terms of each group; none for one whose texts have no word of two letters.

    Source: Grootendorst, "BERTopic", arXiv:2203.05794; shares as in its code.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    inside = np.flatnonzero((groups >= 0) & (groups < count))
    if not len(inside):
        return [[] for _ in range(count)]
    stop_words = english_stop_words()

    @cache
    def kept(word: str) -> bool:
        return is_content(word, stop_words)

    def words_of(text: str) -> list[str]:
        return [word for word in _WORD.findall(text) if kept(word)]

    counter = CountVectorizer(
        ngram_range=(1, 2), tokenizer=words_of, token_pattern=None, max_features=_MOST_TERMS
    )
    try:
        counts = counter.fit_transform([texts[int(row)] for row in inside])
    except ValueError:  # no word in any text
        return [[] for _ in range(count)]
    names = counter.get_feature_names_out()
    found = []
    of_groups = np.array([counts[groups[inside] == group].sum(0).A1 for group in range(count)])
    weights = class_tfidf(of_groups)
    for row in weights:
        order = np.lexsort((names, -row))
        ranked = (str(names[term]) for term in order[: 20 * terms] if row[term] > 0)
        found.append(different(ranked, terms))
    return found


def class_tfidf(counts: np.ndarray) -> np.ndarray:
    """Counts of terms in groups, (groups, terms) → weights; see `distinctive_terms`."""
    totals = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    rarity = np.log1p(totals.mean() / np.maximum(counts.sum(0), 1))
    weights: np.ndarray = shares * rarity
    return weights


def different(terms: Iterable[str], most: int) -> list[str]:
    """The first terms that share no word with an earlier one, plurals counted as the word."""
    chosen: list[str] = []
    used: set[str] = set()
    for term in terms:
        words = {stem(word) for word in term.split()}
        if not words & used:
            chosen.append(term)
            used |= words
        if len(chosen) == most:
            break
    return chosen


def stem(word: str) -> str:
    """A word without case and without the plural's s, to find repeated ones."""
    word = word.casefold()
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
