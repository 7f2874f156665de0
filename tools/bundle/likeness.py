"""How alike two texts are: the exact Jaccard index of their content words and of their four-word runs.

Every couple is compared through an index of words and runs; nothing is sampled or hashed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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

    @property
    def is_near_duplicate(self) -> bool:
        """Whether either likeness reaches its threshold."""
        return self.words >= LIKE_WORDS or self.runs >= LIKE_RUNS


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


def shared_couples(left: Sequence[Item], right: Sequence[Item]) -> Iterator[Couple]:
    """Every couple with a content word or a run in common; within one list, each couple once."""
    within = left is right
    by_word, by_run = _index(item.content for item in right), _index(set(item.runs) for item in right)
    for i, item in enumerate(left):
        words = Counter(j for word in item.content for j in by_word[word])
        runs = Counter(j for run in set(item.runs) for j in by_run[run])
        for j in words.keys() | runs.keys():
            other = right[j]
            if (within and j <= i) or (item.origin and item.origin == other.origin):
                continue
            yield Couple(
                _jaccard(words[j], len(item.content), len(other.content)),
                _jaccard(runs[j], len(set(item.runs)), len(set(other.runs))),
                item,
                other,
            )


def _index(sets: Iterable[Iterable[Hashable]]) -> defaultdict[Hashable, list[int]]:
    index: defaultdict[Hashable, list[int]] = defaultdict(list)
    for number, members in enumerate(sets):
        for member in members:
            index[member].append(number)
    return index


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
