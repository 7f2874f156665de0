"""A probe as text: the best option first, with bands, and which are level with it."""

from __future__ import annotations

from lastword.probing.measures import MEASURES
from lastword.probing.result import LEVEL_BANDS, Option, ProbeResult

TEMPLATE_WIDTH = 56
_SHOWN = 20


def probe_table(found: ProbeResult, most: int = _SHOWN) -> str:
    """The best options, one on each line, and what is to be known about the numbers.

    Args:
        found: the result.
        most: options to show.
    """
    names = [found.ranked_by, *(name for name in found.score_names if name != found.ranked_by)]
    level = {option.point for option in found.level}
    lines = [["template", "pooling", "layer", *(MEASURES[name].title for name in names), ""]]
    for option in found.ranked[:most]:
        standing = "best" if option is found.best else "level" if option.point in level else ""
        point = option.point
        lines.append([
            shortened(point.template), point.pooling, str(point.layer),
            *(_cell(option, name, band=name == found.ranked_by) for name in names), standing,
        ])  # fmt: skip
    if found.correlations:
        rho = [found.correlations.get(name) for name in names]
        cells = ["" if value is None else f"{value:+.2f}" for value in rho]
        lines += [[], ["ρ with V-measure", "", "", *cells, ""]]
    widths = [max(len(line[i]) for line in lines if line) for i in range(len(lines[0]))]
    rows = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=False)).rstrip() for line in lines
    ]
    return "\n".join([*rows, "", *_notes(found, most)])


def shortened(template: str, width: int = TEMPLATE_WIDTH) -> str:
    """A template on one line of limited width: the end of it tells templates apart, so the beginning goes."""
    line = " ".join(template.split())
    return line if len(line) <= width else f"…{line[-(width - 1) :]}"


def _cell(option: Option, name: str, band: bool) -> str:
    value = MEASURES[name].shown(option.scores[name])
    if band and name in option.bands:
        return f"{value} ± {MEASURES[name].shown(option.bands[name])}"
    return value


def _notes(found: ProbeResult, most: int) -> list[str]:
    """What the numbers are, in sentences."""
    facts, title = found.facts, MEASURES[found.ranked_by].title
    of = f" of {facts['of_texts']:,}" if facts["of_texts"] > facts["texts"] else ""
    notes = [f"{len(found.options):,} options on {facts['texts']:,}{of} texts, ranked by {title}."]
    if len(found.options) > most:
        notes[0] += f" The best {most} are shown; --json gives all."
    if found.ranked_by in found.best.bands:
        notes.append(_level_note(len(found.level) - 1))
    else:
        notes.append(f"No band is known for {title}: what is level with the best is not said.")
    if facts["bootstrap_size"]:
        notes.append(
            f"V-measure from bootstraps of {facts['bootstrap_size']:,} draws, not the 16,384 of "
            "lastword evaluate: compare it within this table only."
        )
    if facts["few_shot_texts"]:
        notes.append(
            f"Accuracy of a classifier that saw {facts['samples_per_label']} texts of each label, on "
            f"{facts['few_shot_texts']:,} others."
        )
    if not facts["labels"]:
        notes.append("Without labels the order is a guess: docs/reference/probe.md says how good a one.")
        if len({option.point.layer for option in found.options}) > 1:
            notes.append("No score without labels can compare layers: read each layer by itself.")
    return notes


def _level_note(others: int) -> str:
    rule = f"within {LEVEL_BANDS:g} standard deviations of the difference to it"
    if not others:
        return f"No other option is level with the best ({rule})."
    verb = "is" if others == 1 else "are"
    return f"{others:,} more {verb} level with the best ({rule}): these texts do not tell them apart."
