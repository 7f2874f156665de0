"""The issues of a file of pairs as text for a terminal and as an HTML page."""

from __future__ import annotations

from pathlib import Path

from lastword.arguments import as_path
from lastword.files.run_folder import require_absent
from lastword.pairs.checking.check import PairCheck, PairIssue
from lastword.pairs.checking.similarity import Similarity
from lastword.report.markup import Markup, join, tag
from lastword.report.page import page, write_page
from lastword.report.table import aligned, shortened

_STYLE = """
.verdict { font-size: 20px; font-weight: 600; margin: 12px 0; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem 24px; } h2 { margin-top: 40px; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem;
  border-bottom: 1px solid var(--line); vertical-align: top; } td.n { text-align: right; white-space: nowrap; }
blockquote { margin: .3rem 0; padding-left: .7rem; border-left: 3px solid var(--line); }
.bars { display: flex; align-items: flex-end; height: 9rem; gap: 2px; border-bottom: 1px solid var(--line); }
.bar { flex: 1; display: flex; align-items: flex-end; height: 100%; } .bar i { flex: 1; min-height: 1px; }
i.p { background: var(--c0); } i.u { background: var(--c1); }
.ticks { display: flex; gap: 2px; font-size: .8rem; } .ticks span { flex: 1; } i.key { display: inline-block;
  width: .7em; height: .7em; margin-right: .3em; }
@media (max-width: 640px) { body { padding: 1rem 14px; } td, th { padding: .3rem .25rem; font-size: 14px; } }
"""


def issues_table(check: PairCheck) -> str:
    """A line for each issue with its first example, and the similarity."""
    rows = [("issue", "pairs", "fix", "example")]
    for issue in check.issues:
        example = " | ".join(shortened(side, 40) for side in issue.examples[0]) if issue.examples else ""
        if issue.confidences:
            example += f" (confidence {max(issue.confidences):.0%})"
        rows.append((issue.name, f"{len(issue.rows):,}", issue.fix if issue.rows else "", example))
    rows += [(name, "–", "", f"not checked: {reason}") for name, reason in check.not_checked.items()]
    methods = "".join(f", {name} {count:,}" for name, count in check.methods.items())
    lines = [_verdict(check), f"{check.pairs:,} pairs{methods}", aligned(rows, right=[1])]
    if check.similarity:
        facts = check.similarity.to_dict()
        lines.append(
            f"mean cosine {facts['mean']:.2f}, {facts['unrelated_mean']:.2f} between unrelated sides; "
            f"a pair is closer than an unrelated one in {facts['separation']:.1%} of the cases"
        )
    return "\n".join([*lines, _shared(check)])


def write_report(path: str | Path, check: PairCheck, *, overwrite: bool = False) -> None:
    """Write the HTML page atomically; it loads nothing from elsewhere.

    Args:
        path: file to write.
        check: of the pairs.
        overwrite: replace `path`.

    Raises:
        ExistingOutputError: `path` exists.
    """
    path = as_path("path", path)
    require_absent(path, overwrite, check.file)
    parts = [
        tag("h1", f"{check.pairs:,} pairs of {Path(str(check.file)).name}"),
        tag("p", _verdict(check), class_="verdict"),
        tag("p", _summary(check)),
        _table(check),
    ]
    if check.similarity:
        parts.append(_similarity(check.similarity))
    parts += [_examples(issue) for issue in check.issues if issue.rows]
    write_page(path, page(f"{Path(str(check.file)).name}: issues of the pairs", *parts, style=_STYLE))


def _verdict(check: PairCheck) -> str:
    verdict = check.verdict
    return f"{verdict.text[0].upper()}{verdict.text[1:]}: {'; '.join(verdict.reasons)}."


def _shared(check: PairCheck) -> str:
    return (
        f"two pairs of a batch of {check.batch_pairs} have the same positive {check.shared_positives:.2f} times "
        "on average"
    )


def _summary(check: PairCheck) -> str:
    methods = ", ".join(f"{name} {count:,}" for name, count in check.methods.items())
    made = f"Made by {methods}. " if methods else ""
    shared = _shared(check)
    return f"{made}A fix removes {len(check.removed):,}. {shared[0].upper()}{shared[1:]}."


def _table(check: PairCheck) -> Markup:
    head = tag("tr", *(tag("th", name) for name in ("issue", "pairs", "what it means", "fix")))
    rows = [
        tag(
            "tr", tag("td", issue.name), tag("td", f"{len(issue.rows):,}", class_="n"),
            tag("td", issue.description, *_confidence(issue), class_="muted"), tag("td", issue.fix or "none"),
        )
        for issue in check.issues
    ]  # fmt: skip
    rows += [
        tag(
            "tr", tag("td", name), tag("td", "–", class_="n"),
            tag("td", f"not checked: {reason}", class_="muted"), tag("td", "none"),
        )
        for name, reason in check.not_checked.items()
    ]  # fmt: skip
    return tag("table", head, *rows)


def _confidence(issue: PairIssue) -> list[str]:
    if not issue.confidences:
        return []
    return [f" (confidence {min(issue.confidences):.0%} to {max(issue.confidences):.0%})"]


def _similarity(cosines: Similarity) -> Markup:
    bins = cosines.histogram()
    most = max(max(counts["pairs"], counts["unrelated"]) for counts in bins) or 1
    bars = [
        tag(
            "div",
            tag("i", class_="p", style=f"height:{100 * counts['pairs'] / most:.1f}%"),
            tag("i", class_="u", style=f"height:{100 * counts['unrelated'] / most:.1f}%"),
            class_="bar",
            title=f"cosine from {counts['from']:.2f}: {counts['pairs']:.0f} pairs, {counts['unrelated']:.0f} unrelated",
        )
        for counts in bins
    ]
    # Every fourth bin has a label.
    ticks = [
        tag("span", f"{counts['from']:.2f}" if number % 4 == 0 else "") for number, counts in enumerate(bins)
    ]
    legend = tag(
        "p", tag("i", class_="key p"), "cosine of the two sides of a pair  ",
        tag("i", class_="key u"), "of an anchor and the positive of another pair",
    )  # fmt: skip
    note = f"A pair is closer than an unrelated one in {cosines.separation:.1%} of the cases."
    return join([
        tag("h2", "Similarity of the sides"), legend, tag("div", *bars, class_="bars"),
        tag("div", *ticks, class_="ticks muted"), tag("p", note, class_="muted"),
    ])  # fmt: skip


def _examples(issue: PairIssue) -> Markup:
    examples = [
        tag("blockquote", anchor, tag("br"), tag("span", positive, class_="muted"))
        for anchor, positive in issue.examples
    ]
    return join([tag("h2", f"{issue.name}: {len(issue.rows):,}"), *examples])
