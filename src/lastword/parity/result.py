"""The parity card: what was compared, how near it is, and why not nearer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lastword.report.table import aligned


@dataclass(frozen=True)
class Cause:
    """A likely cause.

    Attributes:
        name: of the cause.
        evidence: one sentence.
    """

    name: str
    evidence: str


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what was compared.
        value: how near it is.
        bar: the least value that passes.
        texts: number of texts.
    """

    name: str
    value: float
    bar: float
    texts: int

    @property
    def passed(self) -> bool:
        """Whether the value reaches the bar."""
        return self.value >= self.bar


@dataclass(frozen=True)
class CheckResult:
    """A parity card.

    Attributes:
        target: what was checked.
        kind: what it is.
        reference: what it was compared with.
        dtype: the precision whose bar was applied.
        rows: the comparisons.
        causes: likely causes; empty if all is well.
        not_checked: what could not be compared, and why.
    """

    target: str
    kind: str
    reference: str
    dtype: str
    rows: tuple[Row, ...]
    causes: tuple[Cause, ...]
    not_checked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every comparison reaches its bar and no cause was found."""
        return not self.causes and all(row.passed for row in self.rows)

    @property
    def reason(self) -> str:
        """Why it does not pass, in one line."""
        below = [f"{row.name} is {row.value:.5f}, below {row.bar:g}" for row in self.rows if not row.passed]
        return "; ".join([*(f"{cause.name} ({cause.evidence})" for cause in self.causes), *below])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"passed": self.passed, **asdict(self)}

    @property
    def text(self) -> str:
        """The card for a terminal."""
        rows = [("", "texts", "value", "bar", "")]
        rows += [
            (row.name, f"{row.texts:,}", f"{row.value:.5f}", f"{row.bar:.5f}", "" if row.passed else "below")
            for row in self.rows
        ]
        lines = [
            f"{self.target} ({self.kind}, {self.dtype})",
            f"compared with: {self.reference}",
            aligned(rows),
            *(f"not checked: {what}" for what in self.not_checked),
            *(f"likely cause: {cause.name} ({cause.evidence})" for cause in self.causes),
            "passes" if self.passed else "does not pass",
        ]
        return "\n".join(lines)
