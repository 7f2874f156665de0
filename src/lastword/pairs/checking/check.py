"""The pair checker: issues of a file of pairs, with counts and examples, and a file without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from lastword.arguments import as_path
from lastword.console import progress, warn
from lastword.encoder import TextEncoder
from lastword.errors import MissingExtraError, RequestError, unknown_name
from lastword.files.formats import BLOCK_ROWS, NEGATIVE
from lastword.files.run_folder import require_absent
from lastword.files.sources import Source, TableFile, table_file
from lastword.files.tables import Kind, read_chunks
from lastword.files.typed import read_table
from lastword.pairs.checking.near_duplicates import leaked, repeated
from lastword.pairs.checking.rules import CLEANED, LEAKED, REMOVED, REPEATED, RULES, Rule, words
from lastword.pairs.checking.similarity import TRIVIAL, Similarity, similarity
from lastword.pairs.generating.answers import LIKELY, cleaned
from lastword.pairs.record import require_suffix, write_table

EXAMPLES = 3
TOLERATED = 0.02  # share of pairs with issues in a file that is ready for training
RELATED = 0.6  # cases in which the sides of a pair should be closer than unrelated texts; chance is 0.5
Sides = tuple[str, str]


@dataclass(frozen=True)
class PairIssue:
    """An issue and the pairs that have it.

    Attributes:
        name: a few words.
        description: what the issue is.
        rows: numbers of the pairs.
        examples: the first three of them; the most confident three, where the confidence differs.
        fix: what a fix does with them: "removed", "cleaned", or "" for nothing.
        confidences: that each of them has the issue, 0 … 1; empty where all are certain.
    """

    name: str
    description: str
    rows: list[int]
    examples: list[Sides]
    fix: str
    confidences: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The issue as JSON values."""
        examples = [{"anchor": anchor, "positive": positive} for anchor, positive in self.examples]
        confidence = (
            {"confidence": [round(end(self.confidences), 3) for end in (min, max)]}
            if self.confidences
            else {}
        )
        return {
            "name": self.name, "description": self.description, "count": len(self.rows), "fix": self.fix,
            "examples": examples, **confidence,
        }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What the check says of the whole file.

    Attributes:
        text: "ready for training", "usable after a fix" or "not usable as they are".
        reasons: in sentences without a full stop.
    """

    text: str
    reasons: list[str]


@dataclass(frozen=True)
class PairCheck:
    """The result of `check_pairs`.

    Attributes:
        file: the pairs.
        pairs: how many.
        methods: how many by each method, if the file has the column.
        issues: all that were looked for, with or without pairs.
        not_checked: issue that could not be looked for → why: a library that is not installed.
        batch_pairs: size of a training batch.
        shared_positives: how often two pairs of a random batch have the same positive, on average.
        similarity: cosines, if an embedder was given.
        columns: those of the anchors and of the positives.
    """

    file: TableFile
    pairs: int
    methods: dict[str, int]
    issues: list[PairIssue]
    not_checked: dict[str, str]
    batch_pairs: int
    shared_positives: float
    similarity: Similarity | None
    columns: tuple[str, str]

    @property
    def verdict(self) -> Verdict:
        """Whether a model can be trained on these pairs, and why not."""
        n, removed = self.pairs, len(self.removed)
        count = {issue.name: len(issue.rows) for issue in self.issues}
        reasons = []
        if leaked := count.get(LEAKED, 0):
            reasons.append(
                f"evaluation texts are in {leaked:,} of {n:,} pairs: scores on them would be too high"
            )
        if removed >= n / 2:
            reasons.append(f"{removed:,} of {n:,} pairs have an issue that a fix removes")
        if self.similarity and self.similarity.separation < RELATED:
            share = f"{self.similarity.separation:.0%}"
            reasons.append(
                f"the sides of a pair are closer than unrelated texts in only {share} of the cases"
            )
        if reasons:
            return Verdict("not usable as they are", reasons)
        cleaned_too = len({row for issue in self.issues if issue.fix for row in issue.rows})
        reasons = [f"{cleaned_too:,} of {n:,} pairs have an issue that a fix mends"]
        if self.not_checked:
            reasons.append(f"not checked: {', '.join(self.not_checked)}")
        return Verdict("usable after a fix" if cleaned_too > TOLERATED * n else "ready for training", reasons)

    @property
    def removed(self) -> set[int]:
        """Pairs that a fix removes."""
        return {row for issue in self.issues if issue.fix == REMOVED for row in issue.rows}

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "file": str(self.file), "pairs": self.pairs, "verdict": asdict(self.verdict), "methods": self.methods,
            "issues": [issue.to_dict() for issue in self.issues], "not_checked": self.not_checked,
            "removed": len(self.removed),
            "batch_pairs": self.batch_pairs, "shared_positives": round(self.shared_positives, 3),
            "similarity": self.similarity.to_dict() if self.similarity else None,
        }  # fmt: skip


def check_pairs(
    file: Source,
    *,
    evaluation: Sequence[str] = (),
    embedder: TextEncoder | None = None,
    batch_pairs: int = 120,
    allow: Sequence[str] = (),
    remove: Sequence[str] = (),
    anchor_column: str = "anchor",
    positive_column: str = "positive",
) -> PairCheck:
    """Check every pair of a file.

    A check whose library is not installed is left out, and named in the result.

    Args:
        file: the pairs, as `lastword.files.tables` reads them.
        evaluation: texts that a model trained on these pairs will be scored on; none may be among them.
        embedder: measures the similarity of the sides; None leaves that out.
        batch_pairs: size of a training batch, to estimate how many of its pairs share a positive.
        allow: names of issues that a fix shall not remove or clean, such as "different lengths" where the
            anchors are titles.
        remove: names of issues that a fix shall remove although it ignores them otherwise, such as "different
            languages", which is only likely.
        anchor_column, positive_column: columns of the sides.

    Raises:
        MissingFileError, TableError: see the message.
        RequestError: `allow` has a name that is not an issue with a fix, or `remove` one that is not an issue
            without.
    """
    sides, methods = _read(file, anchor_column, positive_column)
    not_checked: dict[str, str] = {}
    issues = [*_single_issues(sides, not_checked), *_repetitions(sides, not_checked)]
    if evaluation:
        issues += _checked(LEAKED, lambda: _leaked(sides, evaluation), not_checked)
    cosines = None
    if embedder and len(sides) > 1:
        cosines = similarity(embedder, *map(list, zip(*sides, strict=True)))
    if cosines:
        issues += [
            _issue("no closer than chance", "for the embedder the sides are no closer than unrelated texts",
                   cosines.too_low, sides, ""),
            _issue("nearly equal vectors", f"the embedder's cosine is {TRIVIAL} or more: little to learn",
                   cosines.trivial, sides, ""),
        ]  # fmt: skip
    shared = _expected_shared([positive for _, positive in sides], batch_pairs)
    return PairCheck(
        table_file(file),
        len(sides),
        methods,
        _with_fixes(allow, remove, issues, not_checked),
        not_checked,
        batch_pairs,
        shared,
        cosines,
        (anchor_column, positive_column),
    )


def write_fixed(check: PairCheck, output: str | Path, *, overwrite: bool = False) -> int:
    """Write the file without the pairs that a fix removes, and with cleaned positives.

    Args:
        check: of the file.
        output: .parquet, .jsonl or .csv file.
        overwrite: replace `output`.

    Returns:
        Number of pairs written.

    Raises:
        ExistingOutputError: `output` exists.
        RequestError: a suffix that pairs cannot be written as, or no pair is left.
    """
    output = as_path("output", output)
    require_suffix(output)
    require_absent(output, overwrite, check.file)
    table, (_, positive_column) = read_table(check.file), check.columns
    removed = check.removed
    rows = [row for row in range(check.pairs) if row not in removed]
    if not rows:
        raise RequestError(f"{check.file}: a fix would remove all {check.pairs} pairs; look at the issues")
    to_clean = {row for issue in check.issues if issue.fix == CLEANED for row in issue.rows}
    positives = [
        cleaned(text) if row in to_clean else text
        for row, text in enumerate(table[positive_column].to_pylist())
    ]
    column = table.column_names.index(positive_column)
    table = table.set_column(column, positive_column, pa.array(positives, pa.string())).take(rows)
    write_table(table, output)
    return len(rows)


def _read(file: Source, anchor_column: str, positive_column: str) -> tuple[list[Sides], dict[str, int]]:
    if anchor_column == positive_column:
        raise RequestError(f"anchor and positive are both in column {anchor_column!r}: give two columns")
    kinds: dict[str, Kind] = {anchor_column: "blank", positive_column: "blank", NEGATIVE: "negatives"}
    sides: list[Sides] = []
    methods: Counter[str] = Counter()
    for chunk in read_chunks(file, kinds, BLOCK_ROWS, optional=["method"]):
        columns = chunk.columns
        sides += zip(columns[anchor_column], columns[positive_column], strict=True)
        methods.update(name for name in columns["method"] if name)
    return sides, dict(methods.most_common())


def _checked(name: str, check: Callable[[], PairIssue], not_checked: dict[str, str]) -> list[PairIssue]:
    """The issue, or none where a library for it is not installed; `not_checked` gets the reason."""
    try:
        return [check()]
    except MissingExtraError as error:
        warn(f"{name}: not checked, since {error}")
        not_checked[name] = str(error)
        return []


def _single_issues(sides: Sequence[Sides], not_checked: dict[str, str]) -> list[PairIssue]:
    """Issues of single pairs."""

    def check(rule: Rule) -> PairIssue:
        found = {}
        for row, pair in enumerate(sides):
            if (confidence := rule.confidence(*pair)) >= LIKELY:
                found[row] = confidence
            advance(1)
        return _uncertain(rule, found, sides)

    with progress("single pairs", len(RULES) * len(sides)) as advance:
        return [issue for rule in RULES for issue in _checked(rule.name, partial(check, rule), not_checked)]


def _uncertain(rule: Rule, found: dict[int, float], sides: Sequence[Sides]) -> PairIssue:
    """The issue of a rule, with the most confident examples where the confidence differs."""
    issue = _issue(rule.name, rule.description, list(found), sides, rule.fix)
    if all(confidence == 1 for confidence in found.values()):
        return issue
    examples = sorted(found, key=lambda row: -found[row])[:EXAMPLES]
    return replace(issue, examples=[sides[row] for row in examples], confidences=list(found.values()))


def _leaked(sides: Sequence[Sides], evaluation: Sequence[str]) -> PairIssue:
    texts = leaked([text for pair in sides for text in pair], evaluation)
    rows = sorted({number // 2 for number in texts})
    return _issue(LEAKED, "a side is an evaluation text, or nearly", rows, sides, REMOVED)


def _repeated(sides: Sequence[Sides]) -> PairIssue:
    rows = repeated([f"{anchor} | {positive}" for anchor, positive in sides])
    return _issue(REPEATED, "the same pair as an earlier one, or nearly", rows, sides, REMOVED)


def _repetitions(sides: Sequence[Sides], not_checked: dict[str, str]) -> list[PairIssue]:
    """Issues of pairs that resemble an earlier pair."""
    anchors = _later([" ".join(words(anchor)) for anchor, _ in sides])
    positives = _later([" ".join(words(positive)) for _, positive in sides])
    return [
        *_checked(REPEATED, lambda: _repeated(sides), not_checked),
        _issue("repeated anchors", "the anchor is also in an earlier pair: fine, if there are several positives for it",
               anchors, sides, ""),
        _issue("shared positives", "the positive is also in an earlier pair: a false negative if both are in one "
               "batch (lastword's training masks it)", positives, sides, ""),
    ]  # fmt: skip


def _with_fixes(
    allow: Sequence[str], remove: Sequence[str], issues: list[PairIssue], not_checked: Mapping[str, str]
) -> list[PairIssue]:
    """The issues with the fixes that the caller chose."""
    for names, fixed, verb in ((allow, True, "allow"), (remove, False, "remove")):
        known = [*(issue.name for issue in issues if bool(issue.fix) is fixed), *not_checked]
        for name in names:
            if name not in known:
                raise RequestError(unknown_name(f"issue to {verb}", name, known))
    changes = dict.fromkeys(allow, "") | dict.fromkeys(remove, REMOVED)
    return [replace(issue, fix=changes.get(issue.name, issue.fix)) for issue in issues]


def _later(texts: Iterable[str]) -> list[int]:
    """Numbers of the texts that equal an earlier one."""
    seen: set[str] = set()
    return [number for number, text in enumerate(texts) if text in seen or seen.add(text)]  # type: ignore[func-returns-value]


def _issue(name: str, description: str, rows: list[int], sides: Sequence[Sides], fix: str) -> PairIssue:
    return PairIssue(name, description, rows, [sides[row] for row in rows[:EXAMPLES]], fix)


def _expected_shared(positives: Sequence[str], batch_pairs: int) -> float:
    """Expected number of two pairs with the same positive in a random batch."""
    n, size = len(positives), min(batch_pairs, len(positives))
    equal = sum(count * (count - 1) / 2 for count in Counter(positives).values())
    return equal * size * (size - 1) / (n * (n - 1)) if n > 1 else 0.0
