"""What the defects of the paper's code cost, each beside a training that differs by it alone."""

from __future__ import annotations

from typing import Any

from lastword.experiments import Comparison
from lastword.paper.cells import Laboratory
from lastword.paper.defect_runs import cost, measure_defects, unmeasured
from lastword.paper.report import Page, Record, as_list, line


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
        )

    found = series.once("defects-measured", work)
    compared = Comparison(found["trials"], found["base"], found["settings"], "switch")
    against = {trial["switch"]: trial["against"] for trial in compared.trials}
    lines = [line("training", "score", "change", "beyond twice its deviation"), line("---", *["---:"] * 3)]
    records: list[Record] = []
    for name, counterpart in against.items():
        mean, band = compared.mean_of(name)
        change, deviation = cost(compared, name, counterpart) if counterpart else (None, 0.0)
        lines.append(_line(name, mean, band, change, deviation))
        records.append({
            "table": "defects", "model": model, "row": name, "score": round(100 * mean, 2),
            "band": round(100 * band, 2), "difference": None if change is None else round(100 * change, 2),
        })  # fmt: skip
    notes = [
        f"Mean V-measure of {' and '.join(compared.base)}; each switch beside the bold row above it.",
        f"Not to be seen in a score of one model: {', '.join(unmeasured(compared.trials))}.",
    ]
    body = "\n\n".join(["\n".join(lines), as_list(notes)])
    return Page("defects", "what the paper's code does differently", body, records, {"told": notes, **found})


def _line(name: str, mean: float, band: float, change: float | None, deviation: float) -> str:
    score = f"{100 * mean:.1f} ± {100 * band:.1f}"
    if change is None:
        return line(f"**{name}**", score, "", "")
    beyond = "yes" if abs(change) > 2 * deviation else "no"
    return line(name, score, f"{100 * change:+.1f} ± {100 * deviation:.1f}", beyond)
