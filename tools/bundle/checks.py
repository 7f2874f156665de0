"""Checks of the bundled texts: duplicates, look-alikes, balance, variety, lengths.

`build.py` runs them before it writes anything and puts their report into the README of the bundled
data; the tests run them on the shipped files.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from likeness import Couple, Item, compare, likest

STYLES = ("detail", "simple", "teacher", "metaphor", "question")

COPIED_WORDS = 0.5  # a rewriting may keep some terms of its sentence, but not most of its content words
COPIED_RUNS = 0.3  # nor this share of four-word runs
DISTINCT_RUNS = 0.98  # least share of distinct four-word runs among all runs of a set
SAME_OPENING = 0.1  # largest share of the texts of one file that begin with the same two words


@dataclass(frozen=True)
class SetFindings:
    """What was counted in one set."""

    texts: int
    files: int
    distinct_runs: float
    openings: dict[str, tuple[float, str]]
    lengths: dict[str, tuple[int, int, float, int]]  # part → texts, then words: least, median, most


@dataclass(frozen=True)
class Findings:
    """Everything that was counted, and what is wrong, one line each."""

    sets: dict[str, SetFindings]
    compared: dict[str, int]  # comparison → couples
    highest: dict[str, tuple[float, float]]  # comparison → highest likeness in words, and in runs
    rewritings: dict[str, list[Couple]]  # style → sentences beside their rewritings, the likest first
    faults: list[str]


def exact_duplicates(items: Iterable[Item]) -> list[str]:
    """Texts that occur more than once, letter case and punctuation aside."""
    counts = Counter(" ".join(item.words) for item in items)
    return [text for text, count in counts.items() if count > 1]


def unbalanced(items: Sequence[Item]) -> list[str]:
    """Labels and splits, or subjects and styles, whose count is not that of the others."""
    counts = Counter((item.file, item.part) for item in items)
    files, parts = sorted({item.file for item in items}), sorted({item.part for item in items})
    usual = statistics.mode(counts.values())
    return [
        f"{file}, {part}: {counts[file, part]} texts, not {usual}"
        for file in files
        for part in parts
        if counts[file, part] != usual
    ]


def distinct_run_share(items: Iterable[Item]) -> float:
    """Distinct four-word runs over all four-word runs."""
    runs = [run for item in items for run in item.runs]
    return len(set(runs)) / len(runs) if runs else 1.0


def opening_shares(items: Iterable[Item]) -> dict[str, tuple[float, str]]:
    """File → the share of its texts that begin with the same two words, and these words."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        files[item.file].append(" ".join(item.words[:2]))
    shares = {}
    for file, openings in files.items():
        opening, count = Counter(openings).most_common(1)[0]
        shares[file] = (count / len(openings), opening)
    return shares


def lengths(items: Iterable[Item]) -> dict[str, tuple[int, int, float, int]]:
    """Part → number of texts, and least, median and most words of a text."""
    parts: defaultdict[str, list[int]] = defaultdict(list)
    for item in items:
        parts[item.part].append(len(item.words))
    order = ("dev", "test", "sentence", *STYLES, "text")
    return {
        part: (len(n), min(n), statistics.median(n), max(n))
        for part, n in sorted(parts.items(), key=lambda entry: order.index(entry[0]))
    }


def rewritings(items: Iterable[Item]) -> dict[str, list[Couple]]:
    """Style → each sentence beside its rewriting in that style, the likest first."""
    sentences: dict[str, Item] = {}
    styles: defaultdict[str, list[Couple]] = defaultdict(list)
    for item in items:
        if item.part == "sentence":
            sentences[item.origin] = item
        else:
            styles[item.part].append(compare(sentences[item.origin], item))
    return {style: sorted(styles[style], key=Couple.rank) for style in STYLES if style in styles}


def comparisons(sets: Mapping[str, list[Item]]) -> dict[str, tuple[list[Item], list[Item]]]:
    """Which texts must not look like which."""
    topics, products, pairs, subjects = (sets[name] for name in ("topics", "products", "pairs", "subjects"))

    def part(items: list[Item], name: str) -> list[Item]:
        return [item for item in items if item.part == name]

    return {
        "topics, dev and test": (part(topics, "dev"), part(topics, "test")),
        "products, dev and test": (part(products, "dev"), part(products, "test")),
        "pairs and the test split of topics": (pairs, part(topics, "test")),
        "pairs and the test split of products": (pairs, part(products, "test")),
        "topics and products": (topics, products),
        "pairs, different sentences": (pairs, pairs),
        "subjects and the test split of topics": (subjects, part(topics, "test")),
        "subjects and the test split of products": (subjects, part(products, "test")),
        "subjects and pairs": (subjects, pairs),
        "subjects, different ones": (subjects, subjects),
    }


def _count_couples(left: Sequence[Item], right: Sequence[Item]) -> int:
    """How many couples were compared; texts of one origin are not."""
    if left is not right:
        return len(left) * len(right)
    origins = Counter(item.origin for item in left if item.origin)
    return len(left) * (len(left) - 1) // 2 - sum(n * (n - 1) // 2 for n in origins.values())


def count_set(items: list[Item]) -> SetFindings:
    """Count what can be counted in one set alone."""
    return SetFindings(
        texts=len(items),
        files=len({item.file for item in items}),
        distinct_runs=distinct_run_share(items),
        openings=opening_shares(items),
        lengths=lengths(items),
    )


def faults_of_set(name: str, items: list[Item], counted: SetFindings) -> list[str]:
    """What is wrong with one set alone."""
    faults = [f"{name}: {fault}" for fault in unbalanced(items)]
    if counted.distinct_runs < DISTINCT_RUNS:
        faults.append(f"{name}: only {counted.distinct_runs:.1%} of the four-word runs are distinct")
    faults += [
        f"{name}, {file}: {share:.0%} of the texts begin with '{opening}'"
        for file, (share, opening) in counted.openings.items()
        if share > SAME_OPENING
    ]
    return faults


def check(sets: Mapping[str, list[Item]]) -> Findings:
    """Run every check on the items of the four sets."""
    everything = [item for items in sets.values() for item in items]
    faults = [f"occurs twice: {text}" for text in exact_duplicates(everything)]
    counted = {name: count_set(items) for name, items in sets.items()}
    for name, items in sets.items():
        faults += faults_of_set(name, items, counted[name])

    compared, highest = {}, {}
    for name, (left, right) in comparisons(sets).items():
        words, runs, near_duplicates = likest(left, right)
        compared[name] = _count_couples(left, right)
        highest[name] = (words, runs)
        faults += [f"{name}: near-duplicates {_quote(c)}" for c in near_duplicates]

    rewritten = rewritings(sets["pairs"])
    copied = [
        c
        for couples in rewritten.values()
        for c in couples
        if c.words >= COPIED_WORDS or c.runs >= COPIED_RUNS
    ]
    faults += [f"pairs: copied as {c.right.part} {_quote(c)}" for c in copied]
    return Findings(counted, compared, highest, rewritten, faults)


def _quote(couple: Couple) -> str:
    return f"({couple.words:.2f}, {couple.runs:.2f}): {couple.left.text} | {couple.right.text}"
