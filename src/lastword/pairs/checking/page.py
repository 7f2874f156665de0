"""The findings as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from lastword.pairs.checking.check import Checkup, Finding
from lastword.pairs.checking.similarity import Similarity
from lastword.report.markup import Markup, join, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = Markup("""
:root { color-scheme: light dark; --ink: #1d2430; --dim: #5d6775; --line: #d9dee6; --page: #fff; --pair: #2563eb;
  --other: #d97706; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #9aa4b2; --line: #333b47; --page: #14181f;
  --pair: #6ea0ff; --other: #f0a94a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto;
  max-width: 60rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem;
  border-bottom: 1px solid var(--line); vertical-align: top; } td.n { text-align: right; white-space: nowrap; }
.dim { color: var(--dim); } blockquote { margin: .3rem 0; padding-left: .7rem; border-left: 3px solid var(--line); }
.bars { display: flex; align-items: flex-end; height: 9rem; gap: 2px; border-bottom: 1px solid var(--line); }
.bar { flex: 1; display: flex; align-items: flex-end; height: 100%; } .bar i { flex: 1; min-height: 1px; }
i.p { background: var(--pair); } i.u { background: var(--other); }
.ticks { display: flex; gap: 2px; font-size: .8rem; } .ticks span { flex: 1; } i.key { display: inline-block;
  width: .7em; height: .7em; margin-right: .3em; }
""")


def write_page(path: str | Path, checkup: Checkup) -> None:
    """Write the page; it appears under its name when it is whole."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(render(checkup), encoding="utf-8", errors="replace")
    partial.replace(path)


def render(checkup: Checkup) -> str:
    """The page as a string."""
    parts = [
        tag("h1", f"{checkup.pairs:,} pairs of {checkup.file.name}"),
        tag("p", _summary(checkup)),
        _table(checkup),
    ]
    if checkup.similarity:
        parts.append(_similarity(checkup.similarity))
    parts += [_examples(finding) for finding in checkup.findings if finding.rows]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{checkup.file.name}: checked pairs"),
        tag("style", _STYLE),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *parts), lang='en')}\n"


def _summary(checkup: Checkup) -> str:
    methods = ", ".join(f"{name} {count:,}" for name, count in checkup.methods.items())
    made = f"By {methods}. " if methods else ""
    return (
        f"{made}A fix leaves out {len(checkup.left_out):,}. In a batch of {checkup.batch_pairs} pairs, "
        f"{checkup.shared_in_batch:.2f} couples share their positive on average."
    )


def _table(checkup: Checkup) -> Markup:
    head = tag("tr", *(tag("th", name) for name in ("finding", "pairs", "what it means", "a fix")))
    rows = [
        tag(
            "tr", tag("td", finding.name), tag("td", f"{len(finding.rows):,}", class_="n"),
            tag("td", finding.about, class_="dim"), tag("td", finding.fix or "nothing"),
        )
        for finding in checkup.findings
    ]  # fmt: skip
    return tag("table", head, *rows)


def _similarity(close: Similarity) -> Markup:
    bins = close.histogram()
    most = max(max(one["pairs"], one["unrelated"]) for one in bins) or 1
    bars = [
        tag(
            "div",
            tag("i", class_="p", style=f"height:{100 * one['pairs'] / most:.1f}%"),
            tag("i", class_="u", style=f"height:{100 * one['unrelated'] / most:.1f}%"),
            class_="bar",
            title=f"cosine from {one['from']:.2f}: {one['pairs']:.0f} pairs, {one['unrelated']:.0f} unrelated",
        )
        for one in bins
    ]
    # Every fourth bin says where it begins.
    ticks = [tag("span", f"{one['from']:.2f}" if number % 4 == 0 else "") for number, one in enumerate(bins)]
    legend = tag(
        "p", tag("i", class_="key p"), "cosine of the two sides of a pair  ",
        tag("i", class_="key u"), "of an anchor and the positive of another pair",
    )  # fmt: skip
    told = f"A pair is closer than an unrelated one in {close.separation:.1%} of the cases."
    return join([
        tag("h2", "How close the sides are"), legend, tag("div", *bars, class_="bars"),
        tag("div", *ticks, class_="ticks dim"), tag("p", told, class_="dim"),
    ])  # fmt: skip


def _examples(finding: Finding) -> Markup:
    shown = [
        tag("blockquote", anchor, tag("br"), tag("span", positive, class_="dim"))
        for anchor, positive in finding.examples
    ]
    return join([tag("h2", f"{finding.name}: {len(finding.rows):,}"), *shown])
