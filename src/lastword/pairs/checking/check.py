"""Say whether a file of pairs is any good: findings with counts, examples and what a fix does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from lastword.console import progress
from lastword.errors import RequestError, unknown_name
from lastword.files.tables import columns_of, read_table
from lastword.pairs.checking.likeness import leaked, repeated
from lastword.pairs.checking.rules import LEFT_OUT, MENDED, RULES, words
from lastword.pairs.checking.similarity import TRIVIAL, Encoder, Similarity, similarity
from lastword.pairs.generating.answers import cleaned
from lastword.pairs.record import require_writable, write_table

EXAMPLES = 3
Sides = tuple[str, str]


@dataclass(frozen=True)
class Finding:
    """Something about some of the pairs.

    Attributes:
        name: in a few words.
        about: in a sentence.
        rows: numbers of the pairs.
        examples: the first three of them.
        fix: what a fix does with them: "left out", "mended", or "" for nothing.
    """

    name: str
    about: str
    rows: list[int]
    examples: list[Sides]
    fix: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        examples = [{"anchor": anchor, "positive": positive} for anchor, positive in self.examples]
        return {
            "name": self.name, "about": self.about, "count": len(self.rows), "fix": self.fix, "examples": examples,
        }  # fmt: skip


@dataclass(frozen=True)
class Checkup:
    """All that was found.

    Attributes:
        file: the pairs.
        pairs: how many.
        methods: how many by each method, where the file says.
        findings: what was looked for, found or not.
        shared_in_batch: pairs of a batch, on average, whose positive is another one's too.
        batch_pairs: for this size of a batch.
        similarity: cosines, where an embedder was given.
    """

    file: Path
    pairs: int
    methods: dict[str, int]
    findings: list[Finding]
    shared_in_batch: float
    batch_pairs: int
    similarity: Similarity | None

    @property
    def left_out(self) -> set[int]:
        """Pairs that a fix leaves out."""
        return {row for finding in self.findings if finding.fix == LEFT_OUT for row in finding.rows}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            "file": str(self.file), "pairs": self.pairs, "methods": self.methods,
            "findings": [finding.to_dict() for finding in self.findings], "left_out": len(self.left_out),
            "batch_pairs": self.batch_pairs, "shared_in_batch": round(self.shared_in_batch, 3),
            "similarity": self.similarity.to_dict() if self.similarity else None,
        }  # fmt: skip


def check_pairs(
    file: str | Path,
    *,
    evaluation: Sequence[str] = (),
    embedder: Encoder | None = None,
    batch_pairs: int = 120,
    allow: Sequence[str] = (),
    anchor_column: str = "anchor",
    positive_column: str = "positive",
) -> Checkup:
    """Look at every pair of a file.

    Args:
        file: Parquet, JSON lines, CSV or TSV.
        evaluation: texts that a model trained on these pairs will be scored on: none may be among them.
        embedder: measures how close the two sides are; None leaves that out.
        batch_pairs: size of a training batch, for what its pairs have in common.
        allow: names of findings that a fix shall do nothing about, such as "length drift" where the anchors
            are titles.
        anchor_column, positive_column: their names.

    Raises:
        MissingFileError, TableError: see the message.
        RequestError: `allow` names no finding that was looked for.
    """
    sides, methods = _read(Path(file), anchor_column, positive_column)
    findings = [*_by_themselves(sides), *_among_each_other(sides)]
    if evaluation:
        found = leaked([text for pair in sides for text in pair], evaluation)
        rows = sorted({number // 2 for number in found})
        findings.append(_finding(
            "leaked evaluation texts", "a side is, or nearly is, a text of the evaluation", rows, sides, LEFT_OUT,
        ))  # fmt: skip
    close = (
        similarity(embedder, *map(list, zip(*sides, strict=True))) if embedder and len(sides) > 1 else None
    )
    if close:
        findings += [
            _finding("no closer than chance", "the embedder finds the sides no closer than unrelated texts",
                     close.too_low, sides, ""),
            _finding("already the same", f"the embedder's cosine is {TRIVIAL} or more: little to learn",
                     close.trivial, sides, ""),
        ]  # fmt: skip
    shared = _expected_shared([positive for _, positive in sides], batch_pairs)
    findings = _allowing(allow, findings)
    return Checkup(Path(file), len(sides), methods, findings, shared, batch_pairs, close)


def _read(file: Path, anchor_column: str, positive_column: str) -> tuple[list[Sides], dict[str, int]]:
    table = read_table(file)
    chosen = columns_of(table, file, [anchor_column, positive_column])
    cells = [
        [cell if isinstance(cell, str) else "" for cell in column.to_pylist()] for column in chosen.columns
    ]
    if anchor_column == positive_column:
        raise RequestError(f"anchor and positive are both column {anchor_column!r}: give two")
    methods = Counter(table["method"].to_pylist()) if "method" in table.column_names else Counter[str]()
    return list(zip(cells[0], cells[1], strict=True)), dict(methods.most_common())


def _by_themselves(sides: Sequence[Sides]) -> list[Finding]:
    """What shows in a pair alone."""
    broken: dict[str, list[int]] = {rule.name: [] for rule in RULES}
    with progress("pairs by themselves", len(sides)) as advance:
        for row, pair in enumerate(sides):
            for rule in RULES:
                if rule.broken(*pair):
                    broken[rule.name].append(row)
            advance(1)
    return [_finding(rule.name, rule.about, broken[rule.name], sides, rule.fix) for rule in RULES]


def _among_each_other(sides: Sequence[Sides]) -> list[Finding]:
    """What only shows when pairs are compared with each other."""
    again = repeated([f"{anchor} | {positive}" for anchor, positive in sides])
    anchors = _later([" ".join(words(anchor)) for anchor, _ in sides])
    positives = _later([" ".join(words(positive)) for _, positive in sides])
    return [
        _finding("repeated pairs", "the same pair again, or nearly", again, sides, LEFT_OUT),
        _finding("repeated anchors", "the anchor stands in an earlier pair too: fine, if several rewritings are meant",
                 anchors, sides, ""),
        _finding("shared positives", "the positive stands in an earlier pair too: false negatives where both are in a "
                 "batch (lastword's training masks them)", positives, sides, ""),
    ]  # fmt: skip


def _allowing(allowed: Sequence[str], findings: list[Finding]) -> list[Finding]:
    names = [finding.name for finding in findings if finding.fix]
    for name in allowed:
        if name not in names:
            raise RequestError(unknown_name("finding to allow", name, names))
    return [replace(finding, fix="") if finding.name in allowed else finding for finding in findings]


def _later(texts: Iterable[str]) -> list[int]:
    """Numbers of the texts that have been seen before."""
    seen: set[str] = set()
    return [number for number, text in enumerate(texts) if text in seen or seen.add(text)]  # type: ignore[func-returns-value]


def _finding(name: str, about: str, rows: list[int], sides: Sequence[Sides], fix: str) -> Finding:
    return Finding(name, about, rows, [sides[row] for row in rows[:EXAMPLES]], fix)


def _expected_shared(positives: Sequence[str], batch_pairs: int) -> float:
    """Couples of pairs with one positive that a random batch holds, on average."""
    n, size = len(positives), min(batch_pairs, len(positives))
    couples = sum(count * (count - 1) / 2 for count in Counter(positives).values())
    return couples * size * (size - 1) / (n * (n - 1)) if n > 1 else 0.0


def write_fixed(checkup: Checkup, out: str | Path, positive_column: str = "positive") -> int:
    """Write the file without the pairs that a fix leaves out, the others mended; gives how many stay.

    Raises:
        RequestError: an ending that pairs cannot be written as, or nothing is left.
    """
    out = Path(out)
    require_writable(out)
    table = read_table(checkup.file)
    keep = [row for row in range(checkup.pairs) if row not in checkup.left_out]
    if not keep:
        raise RequestError(
            f"{checkup.file}: a fix would leave nothing of {checkup.pairs} pairs; look at the findings"
        )
    mended = {row for finding in checkup.findings if finding.fix == MENDED for row in finding.rows}
    positives = [
        cleaned(text) if row in mended else text
        for row, text in enumerate(table[positive_column].to_pylist())
    ]
    place = table.column_names.index(positive_column)
    table = table.set_column(place, positive_column, pa.array(positives, pa.string())).take(keep)
    write_table(table, out)
    return len(keep)
