"""The findings as text for a terminal."""

from __future__ import annotations

from lastword.pairs.checking.check import Checkup


def findings_table(checkup: Checkup) -> str:
    """One line for each finding, and the first example below it where there is one."""
    wide = max(len(finding.name) for finding in checkup.findings)
    lines = [
        f"{checkup.pairs:,} pairs" + "".join(f", {name} {count:,}" for name, count in checkup.methods.items())
    ]
    for finding in checkup.findings:
        fix = f"  ({finding.fix} by --fix)" if finding.rows and finding.fix else ""
        lines.append(f"{finding.name:{wide}} {len(finding.rows):>8,}{fix}")
        for anchor, positive in finding.examples[:1]:
            lines.append(f"{'':{wide}}          {_short(anchor)} | {_short(positive)}")
    if checkup.similarity:
        told = checkup.similarity.to_dict()
        lines.append(
            f"cosine {told['mean']:.2f} on average, {told['unrelated_mean']:.2f} between unrelated sides; "
            f"closer in {told['separation']:.1%} of the cases"
        )
    lines.append(
        f"in a batch of {checkup.batch_pairs}: {checkup.shared_in_batch:.2f} couples share their positive on average"
    )
    return "\n".join(lines)


def _short(text: str, most: int = 40) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
