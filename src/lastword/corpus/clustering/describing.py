"""GROUPS → NAMES AND TEXTS: typical texts, outliers, words and names of each group."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from lastword.console import info, warn
from lastword.corpus.clustering.families import Merge, families, merges
from lastword.corpus.clustering.finding import Found
from lastword.corpus.clustering.head import TEXTS as HEAD_TEXTS
from lastword.corpus.clustering.head import HeadNamer, joined
from lastword.corpus.clustering.labels import Agreement
from lastword.corpus.clustering.names import NONE, Chat, Words, chat_names, name_of, unique
from lastword.corpus.clustering.partition import UNCLUSTERED
from lastword.corpus.clustering.result import Group, ShownText
from lastword.corpus.clustering.rows import Points, sample_rows
from lastword.corpus.clustering.terms import MOST_TEXTS, distinctive_terms
from lastword.encoder import TextEncoder

WORDS = 10
"""Words of a group in the result."""
_RANKED = 30  # words of each list that are joined
_SHOWN = 3


@dataclass(frozen=True)
class Naming:
    """How groups get their names.

    Attributes:
        way: one of `NAMINGS`.
        encoder: a decoder, for the words of its head; None uses terms alone.
        chat: a chat model that writes the names.
        hierarchy: whether groups are put into families.
    """

    way: str
    encoder: TextEncoder | None
    chat: Chat | None
    hierarchy: bool


def describe(
    points: Points, found: Found, naming: Naming, labels: Agreement | None, seed: int
) -> tuple[list[Group], list[Merge] | None, list[str]]:
    """Describe groups.

    Returns:
        The groups, the last of them the unclustered texts if there are any; the hierarchy; the names of its families.
    """
    text_column = points.store.text_column
    near = [_distinct(points, rows) for rows in _extreme_rows(found, -1)]
    far = [_distinct(points, rows)[:_SHOWN] for rows in _extreme_rows(found, 1)]
    some = sample_rows(len(points.rows), MOST_TEXTS, seed)
    texts = [str(text) for text in points.cells(text_column, points.rows[some])]
    groups = found.groups[points.rows[some]]
    words = _words(texts, groups, found.count, near, naming)
    names = _names(words, near, naming)
    hierarchy = merges(found.centroids) if naming.hierarchy else None
    family = families(hierarchy) if hierarchy is not None and found.count else None
    described = []
    for number in range(found.count):
        stability = float(found.stability[number])
        label, purity = labels.of_group(number) if labels else (None, None)
        described.append(Group(
            number, names[number], int(found.sizes[number]), words[number],
            None if np.isnan(stability) else stability, _shown(near[number], found), _shown(far[number], found),
            None if family is None else int(family[number]), label, purity,
        ))  # fmt: skip
    if outside := int((found.groups == UNCLUSTERED).sum()):
        label, purity = labels.of_group(UNCLUSTERED) if labels else (None, None)
        described.append(
            Group(UNCLUSTERED, NONE, outside, Words([], [], None), None, [], [], None, label, purity)
        )
    return described, hierarchy, [] if family is None else _family_names(texts, groups, family)


Rows = list[tuple[int, str]]
"""Numbers and texts of rows."""


def _extreme_rows(found: Found, sign: int) -> list[np.ndarray]:
    """The rows of each group nearest to its centroid (-1) or farthest from it (1), that one first."""
    order = np.lexsort((sign * found.closeness, found.groups))
    order = order[np.searchsorted(found.groups[order], 0) :]
    ends = np.cumsum(found.sizes)
    return [part[: 2 * HEAD_TEXTS] for part in np.split(order, ends[:-1])] if len(ends) else []


def _distinct(points: Points, rows: np.ndarray) -> Rows:
    """The rows with their texts, in their order, without repeated texts."""
    ascending = np.sort(rows)
    text_of = dict(zip(ascending.tolist(), points.cells(points.store.text_column, ascending), strict=True))
    first: dict[str, int] = {}
    for row in rows.tolist():
        first.setdefault(str(text_of[row]), row)
    return [(row, text) for text, row in first.items()]


def _shown(rows: Rows, found: Found) -> list[ShownText]:
    return [ShownText(row, text, float(found.confidence[row])) for row, text in rows[:_SHOWN]]


def _words(
    texts: Sequence[str], groups: np.ndarray, count: int, near: Sequence[Rows], naming: Naming
) -> list[Words]:
    terms = distinctive_terms(texts, groups, count, _RANKED)
    head = _head_words(texts, near, naming.encoder) if naming.encoder and count else None
    if head is None:
        return [Words(each[:WORDS], each[:WORDS], None) for each in terms]
    return [
        Words(joined(predicted, counted, WORDS), counted[:WORDS], predicted[:WORDS])
        for predicted, counted in zip(head, terms, strict=True)
    ]


def _head_words(texts: Sequence[str], near: Sequence[Rows], encoder: TextEncoder) -> list[list[str]] | None:
    """Words of the head; None if the encoder has none."""
    decoder: Any = getattr(encoder, "encoder", encoder)  # without a batch size of its own
    if not hasattr(decoder, "variant"):
        warn(
            f"{getattr(encoder, 'name', 'the model')} predicts no words: names are of distinctive terms alone"
        )
        return None
    namer = HeadNamer(cast("Any", decoder))
    if namer.problem:
        warn(f"{namer.problem}: names are of distinctive terms alone")
        return None
    info("asking the model for names")
    known = {word.casefold() for text in texts for word in re.findall(r"\w+", text)}
    return namer.words([[text for _, text in rows[:HEAD_TEXTS]] for rows in near], _RANKED, known)


def _names(words: Sequence[Words], near: Sequence[Rows], naming: Naming) -> list[str]:
    lists = [
        {"joined": each.joined, "terms": each.terms, "head": each.head or each.terms}[naming.way] for each in words
    ]  # fmt: skip
    names = [name_of(each, number) for number, each in enumerate(lists)]
    if naming.chat and names:
        written = chat_names(naming.chat, lists, [[text for _, text in rows] for rows in near])
        names = [name or other for name, other in zip(written, names, strict=True)]
    return unique(names)


def _family_names(texts: Sequence[str], groups: np.ndarray, family: np.ndarray) -> list[str]:
    count = int(family.max()) + 1
    numbers = np.where(groups >= 0, np.append(family, UNCLUSTERED)[groups], UNCLUSTERED)
    return unique([
        name_of(terms, number) for number, terms in enumerate(distinctive_terms(texts, numbers, count, 3))
    ])  # fmt: skip
