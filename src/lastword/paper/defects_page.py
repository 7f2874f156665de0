"""What the defects of the paper's code cost, each beside a training that differs by it alone."""

from __future__ import annotations

from typing import Any

from lastword.experiments import Comparison
from lastword.paper.cells import Laboratory
from lastword.paper.defect_runs import measure_defects, unmeasured
from lastword.paper.report import Page, Record, as_list, line
from lastword.uncertainty import Difference, Summary


def defects_page(laboratory: Laboratory) -> Page:
    """Train with each switch of `as_published` and lay the scores side by side."""
    series, scale = laboratory.series, laboratory.scale
    model = next(iter(scale.models.values()))

    def work() -> dict[str, Any]:
        return measure_defects(
            series.partial / "defects",
            recipe=scale.recipe,
            seeds=max(2, scale.seeds),
            resume=True,
            device=laboratory.device,
            **{**scale.settings, "model": model},
        ).to_dict()

    found = series.once("defects-measured", work)
    compared = Comparison.from_dict(found)
    lines = [line("training", "score", "change", "verdict"), line("---", *["---:"] * 3)]
    records: list[Record] = []
    for name, counterpart in compared.settings["against"].items():
        summary = compared.summary(name)
        change = compared.difference(name, counterpart) if counterpart else None
        lines.append(_line(name, summary, change))
        records.append({
            "table": "defects", "model": model, "row": name,
            "score": round(100 * summary.value, 2) if summary else None,
            "band": round(100 * summary.draw_se, 2) if summary else None,
            "difference": round(100 * change.value, 2) if change else None,
        })  # fmt: skip
    notes = [
        f"Mean V-measure of {' and '.join(compared.base)} ± standard error over seeds and draws; each switch beside "
        "the bold row above it, with a 95 % interval.",
        f"Not visible in a score of one model: {', '.join(unmeasured(compared))}.",
    ]
    body = "\n\n".join(["\n".join(lines), as_list(notes)])
    return Page("defects", "what the paper's code does differently", body, records, {"told": notes, **found})


def _line(name: str, summary: Summary | None, change: Difference | None) -> str:
    score = f"{100 * summary.value:.1f} ± {100 * summary.draw_se:.1f}" if summary else "–"
    if change is None:
        return line(f"**{name}**", score, "", "")
    interval = f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    return line(name, score, interval, change.verdict)
