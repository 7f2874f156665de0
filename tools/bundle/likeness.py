"""How alike two texts are: the exact Jaccard index of their content words and of their four-word runs.

Every couple is compared, through products of sparse matrices; nothing is sampled or hashed.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

LIKE_WORDS = 0.5  # two texts with this share of content words in common are near-duplicates
LIKE_RUNS = 0.3  # and so are two with this share of four-word runs in common
RUN = 4

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
FUNCTION_WORDS = frozenset(
    WORD.findall("""
    a about above after again against all almost also although always am an and another any
    anyone anything are around as at away back be because been before behind being below between
    both but by can can't could did didn't do does doesn't doing don't down during each either
    else enough even ever every few for from get gets getting give gives go goes going gone got
    had has hasn't have having he he'd he'll he's her here hers herself him himself his how i
    i'd i'll i'm i've if in into is isn't it it's its itself just least less like made make
    makes many may me might mine more most much must my myself near nearly need never no nobody
    none nor not nothing now of off often on once one only onto or other others our ours out
    over own per put quite rather same say says she she'd she's should since so some somebody
    someone something somewhere soon still such take takes than that that's the their them
    themselves then there there's these they they'd they'll they're they've this those though
    through to today together too toward towards two under until up upon us very was wasn't we
    we'd we'll we're we've well went were what when where whether which while who whole whom
    whose why will with within without won't would yet you you'd you'll you're you've your yours
    """)
)


@dataclass(frozen=True)
class Item:
    """One text of a set and what it may be compared with."""

    text: str
    file: str  # the label or subject, which names the source file
    part: str  # the split of a labelled text, the style of a pair's text
    origin: str = ""  # texts of one origin may be alike: a sentence and its rewritings, a subject

    @cached_property
    def words(self) -> list[str]:
        """The words in order, folded to lower case."""
        return WORD.findall(self.text.casefold().replace("’", "'"))

    @cached_property
    def content(self) -> frozenset[str]:
        """The words that are not function words."""
        return frozenset(self.words) - FUNCTION_WORDS

    @cached_property
    def runs(self) -> list[tuple[str, ...]]:
        """All runs of four words, in order."""
        return [tuple(self.words[i : i + RUN]) for i in range(len(self.words) - RUN + 1)]


@dataclass(frozen=True)
class Couple:
    """Two texts and how much they have in common."""

    words: float
    runs: float
    left: Item
    right: Item

    def rank(self) -> tuple[float, float, str, str]:
        """Sorts the likest couples first, and equally like ones always the same way."""
        return (-self.words, -self.runs, self.left.text, self.right.text)


def items_of_labelled(table: Mapping[str, Sequence[str]]) -> list[Item]:
    """Rows of `text, label, split` as items."""
    return [Item(*row) for row in zip(table["text"], table["label"], table["split"], strict=True)]


def items_of_pairs(table: Mapping[str, Sequence[str]]) -> list[Item]:
    """Rows of `anchor, positive, source, subject` as items; an anchor counts once."""
    rows = list(zip(table["anchor"], table["positive"], table["source"], table["subject"], strict=True))
    anchors = {anchor: Item(anchor, subject, "sentence", anchor) for anchor, _, _, subject in rows}
    return [*anchors.values(), *(Item(text, subject, style, anchor) for anchor, text, style, subject in rows)]


def items_of_subjects(table: Mapping[str, Sequence[str]]) -> list[Item]:
    """Rows of `anchor, positive, subject, domain` as items: every text is an anchor once."""
    rows = zip(table["anchor"], table["domain"], table["subject"], strict=True)
    return [Item(anchor, domain, "text", f"{domain}: {subject}") for anchor, domain, subject in rows]


def likest(left: Sequence[Item], right: Sequence[Item]) -> tuple[float, float, list[Couple]]:
    """The highest likeness in words and in runs of any couple, and the near-duplicates, the likest first.

    Within one list, each couple counts once. Texts of one origin are not compared.
    """
    near, highest = set(), []
    for least, members in (
        (LIKE_WORDS, lambda item: item.content),
        (LIKE_RUNS, lambda item: frozenset(item.runs)),
    ):
        rows, columns, likenesses = _likenesses([*map(members, left)], [*map(members, right)])
        allowed = columns > rows if left is right else np.ones(len(rows), bool)
        allowed &= _differ([item.origin for item in left], [item.origin for item in right], rows, columns)
        highest.append(float(likenesses[allowed].max(initial=0)))
        reach = allowed & (likenesses >= least)
        near |= set(zip(rows[reach].tolist(), columns[reach].tolist(), strict=True))
    couples = sorted((compare(left[row], right[column]) for row, column in near), key=Couple.rank)
    return highest[0], highest[1], couples


def _likenesses(
    left: Sequence[frozenset[Hashable]], right: Sequence[frozenset[Hashable]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The couples with a member in common: place on the left, place on the right, Jaccard index."""
    numbers = {member: number for number, member in enumerate(set().union(*left, *right))}
    shared = (_members(left, numbers) @ _members(right, numbers).T).tocoo()
    rows, columns = shared.coords
    either = np.array(list(map(len, left)))[rows] + np.array(list(map(len, right)))[columns] - shared.data
    return rows, columns, shared.data / either


def _members(sets: Sequence[frozenset[Hashable]], numbers: Mapping[Hashable, int]) -> sparse.csr_array:
    """One row per set, with a 1 in the column of each member."""
    columns = [numbers[member] for members in sets for member in members]
    starts = np.cumsum([0, *map(len, sets)])
    return sparse.csr_array(
        (np.ones(len(columns), np.int32), columns, starts), shape=(len(sets), len(numbers))
    )


def _differ(left: list[str], right: list[str], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Whether the two texts of each couple are of different origins. A text without an origin differs from all."""
    numbers = {origin: number for number, origin in enumerate({*left, *right, ""})}
    left_numbers = np.array([numbers[origin] for origin in left])[rows]
    right_numbers = np.array([numbers[origin] for origin in right])[columns]
    return (left_numbers != right_numbers) | (left_numbers == numbers[""])


def _jaccard(shared: int, left: int, right: int) -> float:
    return shared / (left + right - shared) if shared else 0.0


def compare(left: Item, right: Item) -> Couple:
    """Compare two texts."""
    left_runs, right_runs = set(left.runs), set(right.runs)
    return Couple(
        _jaccard(len(left.content & right.content), len(left.content), len(right.content)),
        _jaccard(len(left_runs & right_runs), len(left_runs), len(right_runs)),
        left,
        right,
    )
